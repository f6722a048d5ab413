export const EXIT_INTERRUPTED = 130;

/** The first Ctrl-C ends the work and prints what there is; a second one ends at once. */
export function onInterrupt(): { stopped: () => boolean; end: () => void } {
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return { stopped: () => asked, end: () => void process.off("SIGINT", onSignal).off("SIGTERM", onSignal) };
}
