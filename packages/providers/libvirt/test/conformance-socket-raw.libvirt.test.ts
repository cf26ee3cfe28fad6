import { testConformance } from './conformance.ts';

testConformance({ disk_format: 'raw', ssh: false });
