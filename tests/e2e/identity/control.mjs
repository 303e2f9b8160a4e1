// What a test does to a provider while it runs, and asks it afterwards. Answers are JSON.
//
//   POST /test/rotate?keep=N        signs with new keys; N of the ones before stay published
//   POST /test/client               knows this client, too, or knows it otherwise than before; the body is its registration
//   POST /test/fail?status=N        answers everything else with N; 0: as ever. &path=/token: only there
//   POST /test/hold                 leaves everything else without an answer until /test/release; ?path=… as above
//   POST /test/release
//   POST /test/forget?user=U        does not know that person any more: refreshing is refused
//   POST /test/people?user=U        the body's claims are the person's from now on
//   POST /test/spoil?alg=ES256      the body's claims stand in ID tokens from now on instead of the right ones; null removes one
//   POST /test/logout?client=C&sub=S&sid=X   sends a back-channel logout
//   GET  /test/sessions?user=U     the `sid` of every session that clients have of that person
//   POST /test/trust                the body { ca }: PEM file with the authority of its clients
//   POST /test/sign?alg=ES256       signs the body { header, payload } with the provider's key: { token }
//   GET  /test/counts               requests so far, by path
import { load } from './modules.mjs';

const { SignJWT, decodeJwt, decodeProtectedHeader, importJWK } = await load('jose');

export class Control {
  #of;
  #counts = {};
  #failing = { status: 0, path: null };
  #holding = null;
  #spoiled = null;

  constructor(of) {
    this.#of = of;
  }

  /** Whether it has answered, or will. */
  async takes(req, res, body) {
    const url = new URL(req.url, this.#of.issuer);
    if (url.pathname.startsWith('/test/')) {
      const text = await body(req);
      const [status, answer] = await this.#command(url.pathname.slice(6), url.searchParams, text && JSON.parse(text));
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(JSON.stringify(answer));
      return true;
    }
    this.#counts[url.pathname] = (this.#counts[url.pathname] ?? 0) + 1;
    const concerns = (path) => path === null || path === url.pathname;
    if (this.#holding && concerns(this.#holding.path)) await this.#holding.released;
    if (this.#failing.status && concerns(this.#failing.path)) {
      res.writeHead(this.#failing.status, { 'content-type': 'text/plain' });
      res.end('this provider was told to fail\n');
      return true;
    }
    if (this.#spoiled && url.pathname === '/token') this.#spoil(res);
    return false;
  }

  async #command(name, query, sent) {
    const { people, provider, rotate } = this.#of;
    const path = query.get('path');
    switch (name) {
      case 'rotate':
        await rotate(Number(query.get('keep') ?? 0));
        return [200, { kids: this.#of.keys().map(({ kid }) => kid) }];
      case 'client':
        this.#of.register(sent);
        return [200, {}];
      case 'fail':
        this.#failing = { status: Number(query.get('status')), path };
        return [200, {}];
      case 'hold': {
        let release;
        this.#holding = { path, released: new Promise((resolve) => { release = resolve; }) };
        this.#holding.release = release;
        return [200, {}];
      }
      case 'release':
        this.#holding?.release();
        this.#holding = null;
        return [200, {}];
      case 'forget':
        delete people[query.get('user')];
        return [200, {}];
      case 'people':
        people[query.get('user')] = { ...people[query.get('user')], ...sent };
        return [200, {}];
      case 'spoil':
        this.#spoiled = { claims: sent, alg: query.get('alg') };
        return [200, {}];
      case 'logout': {
        const client = await provider().Client.find(query.get('client'));
        await client.backchannelLogout(query.get('sub') ?? undefined, query.get('sid') ?? undefined);
        return [200, {}];
      }
      case 'sessions':
        return [200, this.#of.sessions(query.get('user'))];
      case 'trust':
        this.#of.trust(sent.ca);
        return [200, {}];
      case 'sign':
        return [200, { token: await this.#sign(query.get('alg'), sent.header ?? {}, sent.payload) }];
      case 'counts':
        return [200, this.#counts];
      default:
        return [404, { error: `no command ${name}` }];
    }
  }

  async #sign(alg, header, payload) {
    const keys = this.#of.keys();
    const key = keys.find((one) => one.alg === alg) ?? keys[0];
    const token = new SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header });
    return token.sign(await importJWK(key, key.alg));
  }

  /** Lets the answer's ID token be another one. */
  #spoil(res) {
    const { claims, alg } = this.#spoiled;
    const end = res.end.bind(res);
    res.end = async (text) => {
      const answer = JSON.parse(text);
      if (answer.id_token) {
        const payload = { ...decodeJwt(answer.id_token), ...claims };
        for (const name of Object.keys(payload)) if (payload[name] === null) delete payload[name];
        answer.id_token = await this.#sign(alg ?? decodeProtectedHeader(answer.id_token).alg, {}, payload);
      }
      const told = JSON.stringify(answer);
      res.setHeader('content-length', Buffer.byteLength(told));
      end(told);
    };
  }
}
