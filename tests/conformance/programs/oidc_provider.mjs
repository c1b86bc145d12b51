// An OpenID provider that people sign in at: npm oidc-provider with its own pages.
// Arguments: the folder with node_modules, JSON {clients, people: {login: claims}, more}. Prints {"issuer"}.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [folder, told] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const { clients, people, more } = JSON.parse(told);

let provider;
const server = createServer((request, answer) => provider.callback()(request, answer));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(issuer, {
    clients,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    cookies: { keys: ["tests"] },
    ...more,
  });
  console.log(JSON.stringify({ issuer }));
});
