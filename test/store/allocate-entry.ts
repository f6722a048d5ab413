import { runAllocateWorker } from "../../lib/store/mappedfile/allocate-worker.ts";

// What cmd/mq.ts does when it is started as the store's helper.
runAllocateWorker();
