export class CopyRunner {}
