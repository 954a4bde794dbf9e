// Lays the published tokenizer.json files in a folder, NAME.json each: `node published.mjs FOLDER`. Those that packages have as a vocabulary only get the stages of their model.
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { bert } from "./wordpiece.mjs";

const [folder] = process.argv.slice(2);
const here = new URL("published/", import.meta.url);
for (const name of Object.keys(JSON.parse(readFileSync(new URL("package.json", here))).dependencies)) {
    const file = new URL(`node_modules/${name}/models/tokenizer.json`, here);
    if (existsSync(file)) { copyFileSync(file, `${folder}/${name.replace(/.*tokenizer-/, "")}.json`); }
}

// Both have BERT's vocabulary, the same one, with the rows of the token's numbers as lines.
const tokens = readFileSync(`${folder}/minilm/vocab.txt`, "utf8").split("\n").map(line => line.replace(/\r$/, "")).filter(line => line.length > 0);
const id = token => tokens.indexOf(token);
const file = bert(Object.fromEntries(tokens.map((token, i) => [token, i])));
file.added_tokens.forEach(token => { token.id = id(token.content); });
file.post_processor.special_tokens = Object.fromEntries(["[CLS]", "[SEP]"].map(token => [token, { id: token, ids: [id(token)], tokens: [token] }]));
const text = JSON.stringify(file);
writeFileSync(`${folder}/bert-uncased.json`, text);
for (const model of ["minilm", "arctic-xs"]) { writeFileSync(`${folder}/${model}/tokenizer.json`, text); }
