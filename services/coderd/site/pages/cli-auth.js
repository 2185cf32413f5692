// Makes a key for the command line and shows it once.
const problem = document.getElementById('problem');
const text = document.getElementById('text');

async function run() {
  const answer = await fetch('/api/v2/users/me/keys', {
    method: 'POST',
    headers: { 'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content },
  });
  if (answer.status === 401) {
    location.assign('/login?redirect=' + encodeURIComponent('/cli-auth'));
    return;
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message || 'The server answered ' + answer.status + '.');
  const token = document.getElementById('token');
  const copy = document.getElementById('copy');
  token.textContent = body.key;
  text.textContent = 'Paste this token into your terminal, then close this page. It is shown only once.';
  token.hidden = copy.hidden = false;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(body.key);
      copy.textContent = 'Copied';
    } catch {
      // Browsers give the clipboard to pages over HTTPS only.
      getSelection().selectAllChildren(token);
      copy.textContent = 'Selected: press Ctrl+C';
    }
  });
}

run().catch((e) => {
  text.textContent = '';
  problem.textContent = e.message || 'The server cannot be reached. Reload the page to try again.';
});
