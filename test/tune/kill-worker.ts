import { apply } from "../../lib/tune/apply.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";

/** Ends itself with SIGKILL before the N-th write. */
const [root = "", verb = "", files = "", at = "0"] = process.argv.slice(2);
let steps = 0;
const onStep = () => {
  if (++steps === Number(at)) process.kill(process.pid, "SIGKILL");
};
const machine = new Machine(root);
if (verb === "apply")
  apply(machine, {
    profile: "classic",
    version: "test",
    store: "/",
    files: files === "main" ? "main" : "drop-in",
    onStep,
  });
else revert(machine, new Journal(machine), { force: false, onStep });
