/** Collects what the suites found and prints each result as it comes. */
export class Report {
  #suites = new Map();

  #suite(suite) {
    if (!this.#suites.has(suite)) this.#suites.set(suite, { passed: 0, failed: 0, skipped: 0 });
    return this.#suites.get(suite);
  }

  pass(suite, check) {
    this.#suite(suite).passed++;
    if (process.env.VERBOSE) console.log(`pass  ${suite}  ${check}`);
  }

  fail(suite, check, reason) {
    this.#suite(suite).failed++;
    console.log(`FAIL  ${suite}  ${check}: ${String(reason).slice(0, 2000)}`);
  }

  skip(suite, reason) {
    this.#suite(suite).skipped++;
    console.log(`SKIP  ${suite}: ${reason}`);
  }

  check(suite, check, ok, reason) {
    if (ok) this.pass(suite, check);
    else this.fail(suite, check, typeof reason === "function" ? reason() : reason);
    return ok;
  }

  end(suite, startedAt) {
    const { passed, failed } = this.#suite(suite);
    console.log(
      `done  ${suite}: ${passed} passed, ${failed} failed in ${((Date.now() - startedAt) / 1000).toFixed(0)} s`,
    );
  }

  get totals() {
    const totals = { passed: 0, failed: 0, skipped: 0 };
    for (const suite of this.#suites.values()) for (const key of Object.keys(totals)) totals[key] += suite[key];
    return totals;
  }

  print() {
    console.log("");
    for (const [suite, { passed, failed, skipped }] of this.#suites) {
      console.log(
        `${suite.padEnd(36)} ${String(passed).padStart(4)} passed ${String(failed).padStart(4)} failed${skipped ? "  skipped" : ""}`,
      );
    }
    const { passed, failed, skipped } = this.totals;
    console.log(`conformance: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  }
}
