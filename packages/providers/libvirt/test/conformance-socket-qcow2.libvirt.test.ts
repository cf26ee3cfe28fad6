import { testConformance } from './conformance.ts';

testConformance({ disk_format: 'qcow2', ssh: false });
