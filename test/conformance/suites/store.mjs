export const storeSuites = [];
