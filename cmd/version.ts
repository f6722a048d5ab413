/** Set by the build from package.json; a run from source says so. */
declare const MQ_VERSION_DEFINED: string | undefined;

export const MQ_VERSION: string = typeof MQ_VERSION_DEFINED === "string" ? MQ_VERSION_DEFINED : "0.0.0-source";
