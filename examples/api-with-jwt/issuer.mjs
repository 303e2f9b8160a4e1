// An issuer of tokens for trying things out: it makes a key, publishes it, and gives a token to whoever asks.
// It asks for no password: on a loopback address, and nowhere else.
//
// usage: node issuer.mjs [PORT]     (default 3100; 0 takes a free one; the line printed first says which)
//
//   /.well-known/openid-configuration    what it says of itself
//   /jwks                                its public keys
//   /token?sub=ada&scope=orders:read     a token for the orders API, good for 5 minutes; aud= and exp= make others
//   /rotate                              from now on it signs with a new key

import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';

const keys = [];
let issuer;

function rotate() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomUUID();
  keys.push({ kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' } });
  return `signs with ${kid}`;
}

function token(query) {
  const { kid, privateKey } = keys.at(-1);
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: 'ES256', kid, typ: 'at+jwt' };
  const claims = {
    iss: issuer,
    aud: query.get('aud') ?? 'orders-api',
    sub: query.get('sub') ?? 'somebody',
    scope: query.get('scope') ?? 'orders:read',
    iat: now,
    exp: now + Number(query.get('exp') ?? 300),
  };
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const message = `${part(header)}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(message), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${message}.${signature.toString('base64url')}`;
}

function answer(url) {
  switch (url.pathname) {
    case '/.well-known/openid-configuration':
      return { issuer, jwks_uri: `${issuer}/jwks` };
    case '/jwks':
      return { keys: keys.map((key) => key.jwk) };
    case '/token':
      return token(url.searchParams);
    case '/rotate':
      return rotate();
    default:
      return undefined;
  }
}

rotate();
const server = createServer((request, response) => {
  const body = answer(new URL(request.url, issuer));
  if (body === undefined) {
    response.writeHead(404).end('ask for /token, /rotate or /jwks\n');
  } else if (typeof body === 'string') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end(`${body}\n`);
  } else {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }
});
server.listen(Number(process.argv[2] ?? 3100), '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(`issuer on ${issuer}`);
});
