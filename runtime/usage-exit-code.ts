/** EX_USAGE of sysexits.h: whoever started this has to change something; trying again does not help. */
export const usageExitCode = 64;
