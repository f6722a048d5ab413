/**
 * What must be done before anything leaves a connection of this thread: an answer is a promise, and what it promises must be
 * outside this process first. Each may throw; then nothing leaves.
 */
const tasks: (() => void)[] = [];

/** Has `task` run before every write to a socket, until `removeBeforeOutput`. It must cost next to nothing when there is nothing to do. */
export function addBeforeOutput(task: () => void): void {
  tasks.push(task);
}

export function removeBeforeOutput(task: () => void): void {
  const at = tasks.indexOf(task);
  if (at >= 0) tasks.splice(at, 1);
}

/** Runs them. Throws what one of them throws. */
export function beforeOutput(): void {
  for (let i = 0; i < tasks.length; i++) tasks[i]!();
}
