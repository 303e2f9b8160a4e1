// The pages that the provider shows to people. They load nothing.

export const escape = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

const style = `:root{color-scheme:light dark;font:1.05rem/1.5 system-ui,sans-serif}
body{max-width:22rem;margin:14vh auto;padding:0 1.5rem}h1{font-size:1.4rem;margin:0 0 1rem}
label{display:block;margin:0 0 .8rem}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.4rem .6rem;margin-top:.2rem}
button{font:inherit;padding:.45rem 1.1rem;margin-right:.5rem}[role=alert]{color:#c2410c}`;

export const page = (title, body) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><link rel="icon" href="data:,"><style>${style}</style></head>
<body><main><h1>${escape(title)}</h1>${body}</main></body></html>
`;

export const signIn = ({ params }, mistake) => page('Sign in', `${mistake && `<p role="alert">${escape(mistake)}</p>`}
<form method="post">
<label>User <input name="user" value="${escape(params.login_hint ?? '')}" autocomplete="username" autofocus required></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button name="answer" value="allow">Sign in</button><button name="answer" value="deny" formnovalidate>Cancel</button>
</form>`);

export const consent = ({ params }) => page('Allow access', `<p><b>${escape(params.client_id)}</b> asks for: ${escape(params.scope)}</p>
<form method="post"><button name="answer" value="allow">Allow</button><button name="answer" value="deny">Deny</button></form>`);

/** `form` is the library's, with its xsrf value inside. Where nobody sits before the browser, it sends itself. */
export function signOut(form, interactive) {
  if (interactive) {
    const button = '<button form="op.logoutForm" type="submit" name="logout" value="yes">Sign out</button>';
    return page('Sign out', `<p>Do you want to sign out here, too?</p>${form}${button}`);
  }
  const filled = form.replace('</form>', '<input type="hidden" name="logout" value="yes"></form>');
  return page('Sign out', `${filled}<script>document.getElementById("op.logoutForm").submit()</script>`);
}

export const signedOut = () => page('Signed out', '<p>You are signed out at the provider.</p>');
