import { errorCatalogue } from '@godwit/domain';

/** docs/errors.md: every error of the catalogue. */
export function errorPage(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { kind, status, message, remedy }]) =>
      `| \`${code}\` | ${kind} | ${status} | ${cell(message)} | ${cell(remedy)} |`,
  );
  return `<!-- Generated from packages/domain/src/error-catalogue.ts by "npm run generate". Do not edit. -->

# Errors

Every error that an operator can meet. A code never changes its meaning. Words in braces are filled in: \`{object}\` is what
the error is about.

Where they appear: in answers of the API (the \`x-godwit-error\` header holds code, object and remedy as JSON; the body is the
wire contract's), in the \`error\` of a failed task, in the last line of a failed command, in the log.

What a caller may do, by kind:

| Kind | Meaning |
|---|---|
| invalid | the request is wrong; sending it again changes nothing |
| not_found | the object does not exist, or not for this project |
| conflict | right in itself, refused in the present state; may be right later |
| refused | forbidden, or refused to protect data |
| retryable | outside trouble that may pass; the engine tries again by itself |
| permanent | outside trouble that needs a person |
| corrupt | data was found wrong; nothing goes on without a decision |
| canceled | somebody asked for it |

| Code | Kind | HTTP | What happened | What to do |
|---|---|---|---|---|
${rows.join('\n')}
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
