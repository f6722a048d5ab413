export const mqadminSuite = { name: "mqadmin", about: "", targets: [], needs: [], run() {} };
