// Signs in by the API and goes where the visitor wanted to go, if that is a page of this site.
const form = document.getElementById('form');
const problem = document.getElementById('problem');
const query = new URLSearchParams(location.search);
if (query.get('message')) problem.textContent = query.get('message');

function destination() {
  const wanted = query.get('redirect') || '/';
  const url = new URL(wanted, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : '/';
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  problem.textContent = '';
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    const answer = await fetch('/api/v2/users/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-CSRF-TOKEN': document.querySelector('meta[name=csrf-token]').content },
      body: JSON.stringify({ email: form.email.value, password: form.password.value }),
    });
    if (answer.ok) {
      location.assign(destination());
      return;
    }
    const body = await answer.json().catch(() => ({}));
    problem.textContent = body.message || 'The server answered ' + answer.status + '. Please try again.';
  } catch {
    problem.textContent = 'The server cannot be reached. Check your connection and try again.';
  }
  button.disabled = false;
  form.password.select();
});
