// Validates an OpenAPI document, as a program that reads it would: by the schema of its
// version, its references, and the rules beside that. Standard input: the document.
import { compileErrors, validate } from "@readme/openapi-parser";

let input = "";
for await (const chunk of process.stdin) input += chunk;

const document = JSON.parse(input);
const { openapi } = document;
const result = await validate(document);
console.log(JSON.stringify({ openapi, valid: result.valid, errors: result.valid ? "" : compileErrors(result) }));
