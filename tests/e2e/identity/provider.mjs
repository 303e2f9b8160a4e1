#!/usr/bin/env node
// A real OpenID Provider (the library oidc-provider, certified, in memory) on loopback: `node provider.mjs SETTINGS`, where
// SETTINGS is a JSON file or JSON text. It prints `ready ISSUER`, and ends at SIGTERM.
//
//   host, port        where it listens; 127.0.0.1 and any free port unless said
//   issuer            its URL, if that is another than where it listens
//   tls               { cert, key }: PEM files; without, it speaks plain http
//   clients           as RFC 7591 has them: [{ client_id, client_secret, redirect_uris, … }]
//   people            { alice: { password, email, … } }: every field but the password is a claim
//   interactive       true: a form asks people to sign in, another to consent. Otherwise the first person signs in by
//                     themselves; `login_hint` picks another, and `deny` refuses
//   ttl               { AccessToken, IdToken, RefreshToken, Session, … } in seconds
//   token_bytes       makes ID tokens longer by a claim `padding` of so many letters
//   algorithms        signing keys that it makes; the first one is for clients that name none
//   discovery         members that its discovery document has otherwise
//   ca                PEM file: whom it trusts when it sends back-channel logouts
//   control           true: answers /test/… (control.mjs)
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { Control } from './control.mjs';
import { send } from './backchannel.mjs';
import { load } from './modules.mjs';
import * as pages from './pages.mjs';

// It would tell every time that it is made for a newer Node; it works on this one, too.
console.warn = () => {};
const { exportJWK, generateKeyPair } = await load('jose');
const { Provider } = await load('oidc-provider');
const { createMemoryAdapter } = await load('oidc-provider/lib/adapters/memory_adapter.js');

const [, , given = '{}'] = process.argv;
const settings = {
  host: '127.0.0.1',
  port: 0,
  clients: [],
  people: {
    alice: { password: 'alicepass', email: 'alice@example.test', email_verified: true, name: 'Alice', groups: ['admins', 'dev'] },
    mallory: { password: 'mallorypass', email: 'mallory@evil.test', email_verified: false, name: 'Mallory', groups: ['guest'] },
  },
  interactive: false,
  ttl: {},
  token_bytes: 0,
  algorithms: ['RS256', 'ES256'],
  discovery: {},
  control: false,
  ...JSON.parse(given.trimStart().startsWith('{') ? given : readFileSync(given, 'utf8')),
};
const { people, interactive } = settings;
const claims = [...new Set(Object.values(people).flatMap((person) => Object.keys(person)))].filter((name) => name !== 'password');
const adapter = createMemoryAdapter();
let ca = settings.ca && readFileSync(settings.ca);
// Every `sid` that was given away, with whose it is.
const sids = [];

async function freshKeys() {
  return Promise.all(settings.algorithms.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-${crypto.randomUUID().slice(0, 8)}` };
  }));
}

function configuration(keys) {
  return {
    adapter,
    jwks: { keys },
    clients: settings.clients.map((client) => ({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...client,
    })),
    scopes: ['openid', 'offline_access', 'email', 'profile'],
    claims: {
      openid: ['sub', 'padding'],
      email: ['email', 'email_verified'],
      profile: claims.filter((name) => !name.startsWith('email')),
    },
    // Every claim is in the ID token as well as in the user info.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    // A refresh token without a request for offline_access, and another at each use.
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: async (ctx, form) => { ctx.body = pages.signOut(form, interactive); },
        postLogoutSuccessSource: async (ctx) => { ctx.body = pages.signedOut(); },
      },
    },
    discovery: settings.discovery,
    ttl: { AccessToken: 60, IdToken: 300, RefreshToken: 3600, Session: 3600, AuthorizationCode: 30, Interaction: 300, Grant: 3600, ...settings.ttl },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    cookies: { keys: ['only for tests'] },
    renderError: async (ctx, out) => { ctx.body = pages.page('That does not work', `<p>${pages.escape(out.error)}: ${pages.escape(out.error_description ?? '')}</p>`); },
    // The library itself calls no loopback address, where its clients are here.
    fetch: (url, options) => send(url, options, ca),
    async findAccount(_, id) {
      const { password, ...known } = people[id] ?? {};
      const padding = settings.token_bytes > 0 ? { padding: 'x'.repeat(settings.token_bytes) } : {};
      return people[id] && { accountId: id, claims: async () => ({ sub: id, ...known, ...padding }) };
    },
  };
}

const refused = { error: 'access_denied', error_description: 'the user refused' };

async function grant(provider, { grantId, session, params, prompt }) {
  const granted = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) granted.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  if (prompt.details.missingOIDCClaims) granted.addOIDCClaims(prompt.details.missingOIDCClaims);
  return { consent: { grantId: await granted.save() } };
}

/** What the person answers, or a page that asks them. */
async function answer(req, interaction) {
  const isLogin = interaction.prompt.name === 'login';
  if (!interactive) {
    const who = interaction.params.login_hint ?? Object.keys(people)[0];
    return who === 'deny' ? { refuses: true } : { who };
  }
  if (req.method !== 'POST') {
    return { status: 200, ask: isLogin ? pages.signIn(interaction, '') : pages.consent(interaction) };
  }
  const sent = new URLSearchParams(await body(req));
  if (sent.get('answer') === 'deny') return { refuses: true };
  const who = sent.get('user');
  if (isLogin && (!people[who] || people[who].password !== sent.get('password'))) {
    return { status: 401, ask: pages.signIn(interaction, 'That is not the user, or not the password.') };
  }
  return { who };
}

async function interact(provider, req, res) {
  const interaction = await provider.interactionDetails(req, res);
  const { status, ask, refuses, who } = await answer(req, interaction);
  if (ask) return html(res, status, ask);
  if (refuses) return provider.interactionFinished(req, res, refused);
  if (interaction.prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: who, remember: true, amr: ['pwd'] } });
  }
  return provider.interactionFinished(req, res, await grant(provider, interaction), { mergeWithLastSubmission: true });
}

function html(res, status, text) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(text);
}

async function body(req) {
  let text = '';
  for await (const piece of req) {
    text += piece;
    if (text.length > 65_536) throw new Error('the form is too large');
  }
  return text;
}

// Listen first: with port 0 the issuer is not known before.
const { tls } = settings;
const server = tls
  ? https.createServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) })
  : http.createServer();
server.listen(settings.port, settings.host, async () => {
  const issuer = settings.issuer ?? `${tls ? 'https' : 'http'}://${settings.host}:${server.address().port}`;
  let keys = await freshKeys();
  let provider;
  let callback;
  /** The same provider, with the same sessions and tokens, signs with these keys; it reads its clients anew. */
  const sign = (withKeys) => {
    keys = withKeys;
    provider = new Provider(issuer, configuration(keys));
    provider.proxy = settings.issuer !== undefined;
    provider.on('grant.success', ({ oidc }) => {
      const { accountId, sid } = oidc.entities.AuthorizationCode ?? {};
      if (sid) sids.push([accountId, sid]);
    });
    provider.on('server_error', (_, error) => console.error('server_error', error));
    provider.on('grant.error', (_, error) => console.error('grant.error', error.message, error.error_detail ?? ''));
    provider.on('backchannel.error', (_, error) => console.error('backchannel.error', error.message));
    callback = provider.callback();
  };
  sign(keys);
  const control = new Control({
    issuer,
    people,
    keys: () => keys,
    provider: () => provider,
    sessions: (user) => sids.filter(([who]) => who === user).map(([, sid]) => sid),
    trust: (file) => { ca = readFileSync(file); },
    rotate: async (kept) => sign([...(await freshKeys()), ...keys.slice(0, kept)]),
    register(client) {
      settings.clients = [...settings.clients.filter(({ client_id: id }) => id !== client.client_id), client];
      sign(keys);
    },
  });
  server.on('request', async (req, res) => {
    try {
      if (settings.control && (await control.takes(req, res, body))) return;
      if (!req.url.startsWith('/interaction/')) return await callback(req, res);
      await interact(provider, req, res);
    } catch (error) {
      html(res, 400, pages.page('That does not work', `<p>${pages.escape(error.message)}</p>`));
    }
  });
  console.log(`ready ${issuer}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    server.closeAllConnections();
    server.close(() => process.exit(0));
  });
}
