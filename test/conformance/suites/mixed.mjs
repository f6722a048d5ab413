export const mixedSuites = [];
