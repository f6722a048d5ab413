// Runs `mq tune` on this machine and puts what it prints into README.md, between the two marks.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { capture, root } from "./run.mjs";

const BEGIN = "<!-- mq tune: begin -->";
const END = "<!-- mq tune: end -->";
const ARGS = [
  "tune",
  "--only",
  "limits.nr-open,limits.nofile,limits.nofile-service,vm.max_map_count,vm.dirty_ratio,vm.dirty_writeback_centisecs,vm.swappiness,vm.drop_caches,disk.scheduler,disk.readahead,net.somaxconn,time.sync",
];

const { text } = capture(join(root, "node_modules", ".bin", "bun"), ["cmd/mq.ts", ...ARGS]);
const path = join(root, "README.md");
const readme = readFileSync(path, "utf8");
const from = readme.indexOf(BEGIN);
const to = readme.indexOf(END);
if (from < 0 || to < from) throw new Error(`find ${BEGIN} and ${END} in README.md: not there`);
writeFileSync(
  path,
  `${readme.slice(0, from + BEGIN.length)}\n\n\`\`\`text\n${text.trimEnd()}\n\`\`\`\n\n${readme.slice(to)}`,
);
