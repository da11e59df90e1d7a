// Preloaded into a sidecar (NODE_OPTIONS=--import): SIGUSR2 traps its data-plane workers, one after the other.
//
// The message is the one that the worker understands for tests (src/dataplane/messages.ts). Node tells every process
// of the threads it starts; nothing of the product knows of this file.

const workers = [];
let next = 0;

process.on("worker", (worker) => {
  const seat = workers.indexOf(undefined);
  const index = seat < 0 ? workers.length : seat;
  workers[index] = worker;
  worker.on("exit", () => {
    workers[index] = undefined;
  });
});

process.on("SIGUSR2", () => {
  workers[next % workers.length]?.postMessage({ type: "trap" });
  next += 1;
});
