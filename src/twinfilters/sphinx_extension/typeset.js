// Typesets formulas for Sphinx: one JSON object a line in, one a line out, until the input ends.

const katex = require(process.argv[2]);
const readline = require("node:readline");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { latex, options } = JSON.parse(line);
  let answer;
  try {
    answer = { html: katex.renderToString(latex, options) };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
