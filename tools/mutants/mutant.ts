/** One defect that is put into the product on purpose, to see which test notices. */
export interface Mutant {
  /** What is broken, in a few words; unique. */
  name: string;
  /** What a user would lose. */
  loses: string;
  /** Source file, from the repository's root. */
  file: string;
  /** Text that occurs exactly once in the file. */
  find: string;
  replace: string;
  /** Filters of the test files that stand nearest. */
  tests: string[];
}
