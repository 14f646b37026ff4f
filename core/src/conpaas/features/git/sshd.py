"""OpenSSH for a repository: who has a trusted key may push and fetch, and nothing else.

It knows nothing of ConPaaS's servers.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conpaas import files

PACKAGES = ("git", "openssh-server")
USER = "git"  #: whom people push as
KEY_USER = "nobody"  #: who asks which keys are trusted

#: The user has a password that nothing matches: one that is locked (!) could not log in by key
#: either.  The package's own host keys would be the same on every machine.
IMAGE_SCRIPT = f"""\
id {USER} >/dev/null 2>&1 ||
    useradd --system --user-group --shell /usr/bin/git-shell --home-dir /home/{USER} \\
        --no-create-home {USER}
usermod -p '*' {USER}
rm -f /etc/ssh/ssh_host_*
"""

_CONFIG = """\
ListenAddress {listen}
HostKey {directory}/host_key
HostKeyAlgorithms ssh-ed25519
PidFile none
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
PermitRootLogin no
PermitEmptyPasswords no
UsePAM no
AuthorizedKeysFile none
AuthorizedKeysCommand {directory}/keys %t %k
AuthorizedKeysCommandUser {key_user}
DisableForwarding yes
PermitTTY no
AcceptEnv GIT_PROTOCOL
PermitUserRC no
PermitUserEnvironment no
PermitTunnel no
MaxSessions 1
MaxStartups 20:30:100
PerSourceMaxStartups 20
LoginGraceTime 30
ClientAliveInterval 60
ClientAliveCountMax 3
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
SetEnv GIT_CONFIG_GLOBAL={settings} GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1
"""

_NO_SHELL = """\
#!/bin/sh
echo 'This is the git repository of an application of ConPaaS; there is no shell here.' >&2
echo 'Get it with:  git clone git@ADDRESS:code' >&2
exit 128
"""


@dataclass(frozen=True)
class Server:
    """One sshd, with its files in a directory that only root may change.

    Args:
        directory: Of its files.  sshd refuses it when somebody else may write to it, or to any
            directory above.
        home: Of the user, where the repository is.
        socket: Where trusted keys are asked for.
        listen: Address and port.
        user: Whom people push as.
        key_user: Who asks for keys.
    """

    directory: Path
    home: Path
    socket: Path
    listen: str = "0.0.0.0:22"
    user: str = USER
    key_user: str = KEY_USER

    def configure(self, host_key: str, settings: Path, memory: int, processor: int) -> bool:
        """Write the files; say whether anything changed that a running sshd must know of.

        Args:
            host_key: The private key, as ssh-keygen writes it.
            settings: Git's settings for whoever comes in.
            memory: Bytes of address space for each process of theirs.
            processor: Seconds of the processor for each of them.
        """
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        keys = f'#!/bin/sh\nexec {" ".join(self.ask("keys"))} "$@"\n'
        files.write(self.directory / "keys", keys, 0o755)
        no_shell = self.home / "git-shell-commands"
        no_shell.mkdir(mode=0o755, exist_ok=True)
        files.write(no_shell / "no-interactive-login", _NO_SHELL, 0o755)
        # Of all processes on the machine, those of people who push shall die first when memory
        # runs out; sshd gives them the value that it was started with.
        start = (
            "#!/bin/sh\nmkdir -p /run/sshd\nchmod 755 /run/sshd\n"
            "echo 500 > /proc/self/oom_score_adj\n"
            f"exec prlimit --as={memory} --cpu={processor} -- "
            f'/usr/sbin/sshd -D -e -f "{self.directory}/config"\n'
        )
        changed = files.write(self.directory / "start", start, 0o755)
        changed |= files.write(self.directory / "host_key", host_key, 0o600, durable=True)
        config = _CONFIG.format(
            listen=self.listen,
            directory=self.directory,
            user=self.user,
            key_user=self.key_user,
            settings=settings,
        )
        return files.write(self.directory / "config", config) or changed

    def command(self) -> list[str]:
        """Return the command that is the server; it stays in the foreground."""
        return [str(self.directory / "start")]

    def hooks(self) -> dict[str, str]:
        """Return the repository's hooks, by name."""
        return {
            "pre-receive": f"#!/bin/sh\nexec {shlex.join(self.ask('check'))}\n",
            "post-receive": f"#!/bin/sh\nexec {shlex.join(self.ask('pushed'))}\n",
        }

    def ask(self, what: str) -> Sequence[str]:
        """Return the command that asks the manager something."""
        program = Path(__file__).with_name("ask.py")
        return (sys.executable, "-I", "-S", str(program), str(self.socket), what)

    @staticmethod
    def missing() -> list[str]:
        """Return which of the programs are not installed."""
        programs = {"git": "git", "sshd": "/usr/sbin/sshd", "prlimit": "prlimit"}
        return [name for name, program in programs.items() if shutil.which(program) is None]
