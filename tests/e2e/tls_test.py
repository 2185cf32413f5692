"""A deployment with a certificate of its own authority, from `coder server` to a command in a workspace: whoever is told of
the authority gets in, by either of the ways to tell, and nobody else."""
import os
import subprocess

from cluster import Bundle, free_port
from people import refused, starter_workspace


def make_certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def main():
    port = free_port()
    url = f"https://localhost:{port}"
    b = Bundle(provisioners=1, args=("--access-url", url, "--tls-enable", "--tls-address", f"127.0.0.1:{port}"))
    cert, key = make_certificate(b.sub("tls"))
    # The agent gets it with the environment of its template's provisioner.
    b["server"].env.update({"CODER_TLS_CERT_FILE": cert, "CODER_TLS_KEY_FILE": key, "SSL_CERT_FILE": cert})
    with b:
        b["server"].wait_log("View the Web UI: " + url)
        admin = b.first_user()
        b["server"].wait_log("connected to the server")
        starter_workspace(b, admin)
        for told in ({"SSL_CERT_FILE": cert}, {"CODER_CLIENT_TLS_CA_FILE": cert}):
            env = {"CODER_URL": url, **told}
            assert url in b.coder("whoami", client=admin, env=env).stdout
            done = b.coder("ssh", "dev", "--wait=yes", "--", "echo $CODER_AGENT_URL", client=admin, env=env)
            assert done.stdout.rstrip("/\n") == url, done
        said = refused(b, "whoami", says=url, client=admin, env={"CODER_URL": url})
        assert "certificate" in said, said
        b.coder("delete", "dev", "-y", client=admin)


main()
