"""Files: FTP, SMB, TFTP, rsync, git, NFS."""

from __future__ import annotations

from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, address, certificate


def files(net: Network) -> Path:
    """A folder with three files."""
    folder = net.folder / "files"
    folder.mkdir()
    folder.chmod(0o755)
    for name, times in (("letter.txt", 40), ("list.txt", 4), ("book.txt", 200)):
        (folder / name).write_text("A line of some text in a file.\n" * times)
    return folder


@capture("ftp", "vsftpd curl", "FTP: anonymous login; passive (EPSV, PASV) and active (PORT) transfers, a listing, AUTH TLS")
def ftp(net: Network) -> None:
    """Fetching with FTP."""
    folder = files(net)
    folder.chmod(0o555)
    empty = net.folder / "empty"
    empty.mkdir()
    cert, key = certificate(net.folder, "files.example.com")
    config = net.folder / "vsftpd.conf"
    config.write_text(
        f"listen=YES\nlisten_address={SERVER}\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root={folder}\n"
        f"no_anon_password=YES\nsecure_chroot_dir={empty}\n"
        f"ssl_enable=YES\nallow_anon_ssl=YES\nrsa_cert_file={cert}\nrsa_private_key_file={key}\nssl_ciphers=HIGH\nrequire_ssl_reuse=NO\n"
        f"seccomp_sandbox=NO\n"
        "ftp_username=daemon\nport_enable=YES\nconnect_from_port_20=NO\n"
    )
    net.start("server", ["vsftpd", config], tcp=21)
    net.capture()
    url = f"ftp://{SERVER}"
    net.run("client", ["curl", "-s", url + "/", url + "/letter.txt"])
    net.run("client", ["curl", "-s", "--disable-epsv", url + "/list.txt"])
    net.run("client", ["curl", "-s", "--disable-eprt", "-P", address(0), url + "/list.txt"])
    net.run("client", ["curl", "-sk", "--ssl-reqd", "--tls-max", "1.2", url + "/list.txt"])


def samba(net: Network) -> None:
    """Start smbd with one share, open to guests."""
    folder = files(net)
    folder.chmod(0o777)
    state = net.folder / "samba"
    state.mkdir()
    config = net.folder / "smb.conf"
    config.write_text(
        f"[global]\nserver string = office\nnetbios name = OFFICE\nmap to guest = Bad User\nguest account = nobody\nsmb ports = 445\n"
        f"interfaces = {SERVER}\nbind interfaces only = yes\n"
        f"private dir = {state}\nlock directory = {state}\nstate directory = {state}\ncache directory = {state}\npid directory = {state}\n"
        f"ncalrpc dir = {state}/rpc\n"
        f"log file = {state}/log\nload printers = no\ndisable spoolss = yes\n[files]\npath = {folder}\nguest ok = yes\nread only = no\n"
    )
    net.start("server", ["smbd", "-F", "--no-process-group", "-s", config], tcp=445)


@capture("smb", "samba smbclient", "SMB 3.1.1: negotiate, guest session, a listing, a get and a put; then the same server with SMB 2.0.2")
def smb(net: Network) -> None:
    """A share."""
    samba(net)
    small = net.folder / "small.txt"
    small.write_text("a line\n" * 30)
    net.capture()
    net.run(
        "client", ["smbclient", "-s", "/dev/null", "-N", f"//{SERVER}/files", "-c", f"ls; get letter.txt {net.folder}/got.txt; put {small} small.txt"]
    )
    net.run("client", ["smbclient", "-s", "/dev/null", "-m", "SMB2_02", "-N", f"//{SERVER}/files", "-c", f"get list.txt {net.folder}/got2.txt"])


@capture("tftp", "tftpd-hpa tftp-hpa", "TFTP: two files fetched and a mistake; each answer comes from a port of its own")
def tftp(net: Network) -> None:
    """Small files over UDP."""
    folder = files(net)
    net.start("server", ["in.tftpd", "-L", "-a", f"{SERVER}:69", "-u", "nobody", "-s", folder], udp=69)
    net.capture()
    for name in ("letter.txt", "list.txt", "nothing.txt"):
        net.run("client", ["tftp", "-m", "octet", SERVER, "-c", "get", name, str(net.folder / "got.txt")], check=False)


@capture("rsync", "rsync", "the rsync daemon's protocol: a list of modules, then a module fetched")
def rsync(net: Network) -> None:
    """Copying a tree."""
    config = net.folder / "rsyncd.conf"
    config.write_text(f"use chroot = no\npid file = {net.folder}/rsync.pid\n[files]\npath = {files(net)}\ncomment = some files\n")
    net.start("server", ["rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={SERVER}"], tcp=873)
    net.capture()
    net.run("client", ["rsync", f"rsync://{SERVER}/"])
    net.run("client", ["rsync", "-a", f"rsync://{SERVER}/files/", net.folder / "copy"])


@capture("git", "git", "the git protocol on port 9418: a clone, then a fetch that finds nothing new")
def git(net: Network) -> None:
    """A clone."""
    folder = files(net)
    line = ["git", "-C", folder, "-c", "user.name=alice", "-c", "user.email=alice@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        net.run("server", [*line, *words])
    net.start(
        "server",
        ["git", "-c", "safe.directory=*", "daemon", "--export-all", "--reuseaddr", f"--listen={SERVER}", f"--base-path={net.folder}"],
        tcp=9418,
    )
    net.capture()
    net.run("client", ["git", "clone", "-q", f"git://{SERVER}/files", net.folder / "clone"])
    net.run("client", ["git", "-C", net.folder / "clone", "fetch", "-q"])


@capture("nfs", "nfs-ganesha nfs-ganesha-vfs libnfs-utils", "NFS version 4 over TCP (ONC RPC): a listing and a file read by a client in user space")
def nfs(net: Network) -> None:
    """A network file system without the kernel's help."""
    folder = files(net)
    folder.chmod(0o777)
    config = net.folder / "ganesha.conf"
    config.write_text(
        f"NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = 2049; Bind_addr = {SERVER}; Enable_NLM = false; Enable_RQUOTA = false; }}\n"
        f"NFSv4 {{ Grace_Period = 1; Lease_Lifetime = 5; Graceless = true; RecoveryRoot = {net.folder}/recovery; }}\n"
        f"EXPORT {{ Export_Id = 1; Path = {folder}; Pseudo = /files; Access_Type = RW; Squash = None; SecType = sys; Protocols = 4; FSAL {{ "
        f"Name = VFS; }} }}\n"
    )
    net.start(
        "server", ["ganesha.nfsd", "-F", "-L", net.folder / "ganesha.log", "-f", config, "-p", net.folder / "ganesha.pid"], tcp=2049, seconds=20
    )
    net.capture()
    net.run("client", ["nfs-ls", f"nfs://{SERVER}/files?version=4"])
    net.run("client", ["nfs-cat", f"nfs://{SERVER}/files/letter.txt?version=4"])
