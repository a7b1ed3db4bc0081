// Prints what the built package exports, as JSON, for the reference of the site: the exports of its entries, and the functions of each service as
// a programmer sees them.
import ts from "typescript";

const dist = new URL("../dist/", import.meta.url).pathname;
const entries = ["index", "web", "node"];
const shop = `${dist}shop_of_the_reference.ts`;
const options = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], types: ["node"], strict: true };
const host = ts.createCompilerHost(options);
const { fileExists, getSourceFile } = host;
host.fileExists = (path) => path === shop || fileExists(path);
host.getSourceFile = (path, ...more) =>
  path === shop ? ts.createSourceFile(path, 'import { connect } from "./node.js";\nexport const shop = connect("");\n', ...more) : getSourceFile(path, ...more);
const program = ts.createProgram([...entries.map((entry) => `${dist}${entry}.d.ts`), shop], options, host);
const checker = program.getTypeChecker();

function exportsOf(path) {
  return checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)));
}

function comment(symbol) {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim();
}

function exported(symbol) {
  const found = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const declarations = found.getDeclarations() ?? [];
  const file = declarations[0]?.getSourceFile().fileName ?? "";
  return { name: symbol.name, file: file.slice(dist.length), comment: comment(found), source: declarations.map((each) => each.getText()).join("\n") };
}

function service(property) {
  const type = checker.getTypeOfSymbol(property);
  const methods = type.getProperties().map((method) => {
    const text = checker.typeToString(checker.getTypeOfSymbol(method), undefined, ts.TypeFormatFlags.NoTruncation);
    return { name: method.name, comment: comment(method), type: text };
  });
  return { name: property.name, methods };
}

const [connected] = exportsOf(shop);
const properties = checker.getTypeOfSymbol(connected).getProperties();
const names = new Set(checker.getTypeOfSymbol(checker.getAliasedSymbol(exportsOf(`${dist}node.d.ts`).find((each) => each.name === "everything"))).getProperties().map((each) => each.name));
const report = {
  entries: Object.fromEntries(entries.map((entry) => [entry, exportsOf(`${dist}${entry}.d.ts`).map(exported)])),
  services: properties.filter((each) => names.has(each.name)).map(service),
};
process.stdout.write(JSON.stringify(report));
