/** One subject of the suite: sends, pushes, transactions, ... Every theme uses topics and groups of its own. */
interface Theme {
    void run(Context context) throws Exception;

    /** How long it may run, in ms. */
    default long msMax() {
        return 180_000;
    }
}
