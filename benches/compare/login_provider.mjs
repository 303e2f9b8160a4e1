// An OpenID provider that lets everybody in at once: all that a login costs beside it is the gateway's.
// Prints its issuer when it listens. No checks, no memory: for measuring on loopback only.
import crypto from 'node:crypto';
import http from 'node:http';

const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256', use: 'sig' };
const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function idToken(issuer, nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: issuer, aud: 'bench', sub: 'alice', iat: now, exp: now + 300, nonce, email: 'alice@example.test',
    email_verified: true, name: 'Alice', groups: ['dev'] };
  const signed = `${text({ alg: 'ES256', kid: 'bench' })}.${text(claims)}`;
  return `${signed}.${crypto.sign('sha256', signed, { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function json(res, value) {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}

const server = http.createServer(async (req, res) => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const url = new URL(req.url, issuer);
  switch (url.pathname) {
    case '/.well-known/openid-configuration':
      return json(res, { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`, response_types_supported: ['code'], subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'], code_challenge_methods_supported: ['S256'] });
    case '/jwks':
      return json(res, { keys: [jwk] });
    case '/authorize': {
      const back = new URL(url.searchParams.get('redirect_uri'));
      back.searchParams.set('state', url.searchParams.get('state'));
      back.searchParams.set('code', Buffer.from(url.searchParams.get('nonce')).toString('base64url'));
      res.writeHead(302, { location: back.href });
      return res.end();
    }
    case '/token': {
      let form = '';
      for await (const chunk of req) form += chunk;
      const nonce = Buffer.from(new URLSearchParams(form).get('code'), 'base64url').toString();
      return json(res, { access_token: crypto.randomUUID(), token_type: 'Bearer', expires_in: 300, id_token: idToken(issuer, nonce) });
    }
    default:
      res.writeHead(404);
      return res.end();
  }
});
server.listen(0, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}`));
