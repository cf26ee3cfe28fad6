export type { ConformanceOptions, ContextFactory } from './bench.ts';
export { MemoryLedger } from './ledger-recorder.ts';
export { type ConformanceResult, conformanceChecks, runConformance } from './run.ts';
export type { ConformanceSubject, SubjectDisk, SubjectInstance } from './subject.ts';
