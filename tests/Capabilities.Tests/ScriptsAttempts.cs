using Platform.Domain.Daemons;

namespace Platform.Capabilities.Tests.Scripts;

/// <summary>
/// Scripts that try to get out. One that thinks it did prints ESCAPED; what it could have changed or learned is looked at from outside as well.
/// The environment names what is out there: $CANARY (a folder with a file `secret`, open to everybody), $SERVER (process id), $PORT (TCP on loopback),
/// $ABSTRACT and $SOCKET (unix sockets that listen), $JOBS (the folder of all jobs).
/// </summary>
internal static class ScriptsAttempts
{
    public sealed record Attempt(string Name, string Runtime, string Script, ScriptLimits Limits, ScriptLimitHit? Hit);

    private static readonly ScriptLimits Small = new(TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30), 192L << 20, 24, 4L << 20, 64L << 10);

    private static readonly List<Attempt> Collected = Collect();

    public static IReadOnlyList<Attempt> All => Collected;

    /// <summary>EPERM, EACCES and ENOSYS are the filter's answers; anything else means that the kernel began to look at the arguments.</summary>
    private const string Calls = """
        import ctypes, os, platform, sys
        libc = ctypes.CDLL(None, use_errno=True)
        x64 = platform.machine() == 'x86_64'
        def call(x, a, *args):
            number = x if x64 else a
            if number < 0: return
            ctypes.set_errno(0)
            answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(v) if isinstance(v, int) else v for v in args])
            error = ctypes.get_errno()
            print('ESCAPED' if answer != -1 or error not in refusals else 'refused', number, answer, error)
        refusals = (1, 13, 38)
        server = int(os.environ['SERVER'])

        """;

    private const string Sockets = """
        import os, socket
        def attempt(family, kind, protocol=0, to=None):
            try:
                s = socket.socket(family, kind, protocol)
                if to is not None:
                    s.settimeout(2)
                    s.connect(to)
                print('ESCAPED', family)
            except OSError as e:
                print('refused', e.errno)

        """;

    private static List<Attempt> Collect()
    {
        List<Attempt> all = [];

        // What can be read.
        Sh("read /etc/shadow", "cat /etc/shadow && echo ESCAPED; cat /etc/shadow- && echo ESCAPED");
        Sh("read the machine's users", "grep '^root:' /etc/passwd && echo ESCAPED");
        Sh("read the machine's name", "cat /etc/hostname /etc/machine-id /etc/hosts /etc/resolv.conf && echo ESCAPED");
        Sh("read a file that everybody may read", "cat $CANARY/secret");
        Sh("list a folder that everybody may list", "ls $CANARY && echo ESCAPED");
        Sh("read by a relative path", "cat ../../../../../../$CANARY/secret");
        Sh("read through /proc/self/root", "cat /proc/self/root$CANARY/secret");
        Sh("read through the server's root", "cat /proc/$SERVER/root$CANARY/secret && echo ESCAPED");
        Sh("read through the server's cwd", "ls /proc/$SERVER/cwd/ && echo ESCAPED");
        Sh("read the server's environment", "cat /proc/$SERVER/environ && echo ESCAPED");
        Sh("read every environment", "cat /proc/[0-9]*/environ; cat /proc/1/environ");
        Sh("read every command line", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep '[S]andboxHost' && echo ESCAPED");
        Sh("read the server's memory", "head -c 100 /proc/$SERVER/mem && echo ESCAPED; cat /proc/$SERVER/maps && echo ESCAPED");
        Sh("list the server's descriptors", "ls /proc/$SERVER/fd/ && echo ESCAPED");
        Sh("list other jobs", "ls $JOBS && echo ESCAPED");
        Sh("read other jobs", "cat $JOBS/*/input.json && echo ESCAPED; cat $JOBS/*/script.* && echo ESCAPED");
        Sh("read root's home", "ls /root && echo ESCAPED; ls /home/* && echo ESCAPED");
        Sh("read the disk", "head -c 512 /dev/vda && echo ESCAPED; head -c 512 /dev/sda && echo ESCAPED; head -c 512 /dev/root && echo ESCAPED");
        Sh("read memory devices", "head -c 16 /dev/mem && echo ESCAPED; head -c 16 /dev/kmem && echo ESCAPED; head -c 16 /dev/port && echo ESCAPED; head -c 16 /proc/kcore && echo ESCAPED");
        Sh("read the kernel's log", "head -c 16 /dev/kmsg && echo ESCAPED; dmesg && echo ESCAPED");
        Sh("read keys", "cat /etc/ssh/ssh_host_* && echo ESCAPED; cat /etc/ssl/private/* && echo ESCAPED");
        Sh("read logs and mail", "ls /var/log /var/mail /var/lib && echo ESCAPED");
        Python("find an inherited descriptor", "import os\nfor fd in range(3, 1024):\n    try:\n        os.fstat(fd); print('ESCAPED', fd)\n    except OSError: pass");

        // What can be written.
        Sh("write into a folder that everybody may write", "echo x > $CANARY/new");
        Sh("append to a file that everybody may write", "echo x >> $CANARY/secret");
        Sh("truncate a file", "truncate -s 0 $CANARY/secret");
        Sh("delete a file", "rm -f $CANARY/secret");
        Sh("rename a file", "mv $CANARY/secret $CANARY/moved; mv $CANARY/secret ./");
        Sh("change a mode", "chmod 000 $CANARY/secret && echo ESCAPED");
        Sh("change times", "touch -d 1999-01-01 $CANARY/secret && echo ESCAPED");
        Python("change attributes", "import os\nos.setxattr(os.environ['CANARY'] + '/secret', 'user.x', b'x')\nprint('ESCAPED')");
        Sh("link a file in", "ln $CANARY/secret here && echo ESCAPED");
        Sh("write through a link", "ln -s $CANARY/secret here; echo x >> here");
        Sh("write under /usr", "echo x > /usr/bin/platform-escape && echo ESCAPED; echo x >> /bin/sh && echo ESCAPED");
        Sh("write under /etc", "echo x > /etc/platform-escape && echo ESCAPED; echo x > /etc/cron.d/platform-escape && echo ESCAPED");
        Sh("write under /var and /run", "echo x > /var/tmp/platform-escape && echo ESCAPED; echo x > /run/platform-escape && echo ESCAPED");
        Sh("leave a file in the machine's /tmp", "echo x > /tmp/platform-escape");
        Sh("leave a file in the machine's /dev/shm", "echo x > /dev/shm/platform-escape");
        Sh("set a kernel value", "echo '|/bin/false' > /proc/sys/kernel/core_pattern && echo ESCAPED; echo 1 > /proc/sys/vm/drop_caches && echo ESCAPED");
        Sh("press sysrq", "echo h > /proc/sysrq-trigger && echo ESCAPED");
        Sh("leave the out-of-memory killer's list", "echo -1000 > /proc/self/oom_score_adj && echo ESCAPED");
        Sh("set a release agent", "for f in /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/release_agent; do echo /bin/false > $f && echo ESCAPED; done");
        Sh("make a cgroup", "mkdir /sys/fs/cgroup/memory/escape && echo ESCAPED; mkdir /sys/fs/cgroup/escape && echo ESCAPED");
        Sh("leave the cgroup", "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/memory/cgroup.procs; do echo $$ > $f && echo ESCAPED; done");
        Sh("write to the kernel's helpers", "echo /bin/false > /sys/kernel/uevent_helper && echo ESCAPED; echo x > /proc/sys/fs/binfmt_misc/register && echo ESCAPED");
        Sh("make a device", "mknod disk b 254 0 && echo ESCAPED; mknod mem c 1 1 && echo ESCAPED");
        Sh("plan a job for later", "echo 'touch $CANARY/later' | at now && echo ESCAPED; echo '* * * * * touch $CANARY/later' | crontab - && echo ESCAPED");

        // Other processes.
        Sh("kill the server", "kill -9 $SERVER && echo ESCAPED");
        Sh("stop the server", "kill -STOP $SERVER && echo ESCAPED");
        Sh("kill everything", "kill -9 -1");
        Sh("kill the server's group", "kill -9 -$SERVER && echo ESCAPED");
        Sh("kill its own shell", "kill -9 $PPID; sleep 0.05; sleep 4242");
        Sh("stop its own shell", "kill -STOP $PPID; exit 0", Small with { Wall = TimeSpan.FromSeconds(2) }, ScriptLimitHit.Wall);
        Sh("slow the server down", "renice 19 -p $SERVER && echo ESCAPED");
        Sh("bind the server to a core", "taskset -p 1 $SERVER && echo ESCAPED");
        Sh("limit the server", "prlimit --pid $SERVER --nofile=3 && echo ESCAPED");
        Sh("leave a process behind", "sleep 4242 & exit 0");
        Sh("leave a process behind that ignores signals", "(trap '' HUP INT TERM; sleep 4242) >/dev/null 2>&1 & exit 0");
        Sh("leave a session of its own behind", "setsid sleep 4242 >/dev/null 2>&1 & setsid -f sleep 4242; sleep 0.1; exit 0");
        Python("fork twice", "import os, time\nif os.fork() == 0:\n    try: os.setsid()\n    except OSError: pass\n    if os.fork() == 0:\n        os.close(0); os.close(1); os.close(2); time.sleep(4242)\n    os._exit(0)");
        Python("leave the process group", "import os, time\nif os.fork() == 0:\n    try: os.setpgid(0, 0)\n    except OSError: pass\n    time.sleep(4242)");
        Python("ignore every signal", "import signal, time\nfor s in range(1, 64):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\ntime.sleep(4242)", Small with { Wall = TimeSpan.FromSeconds(2) }, ScriptLimitHit.Wall);

        // Resources.
        Bash("fork bomb", "b() { b | b & }; b; sleep 30", Small, ScriptLimitHit.Processes);
        Python("fork bomb that hides", "import os\nwhile True:\n    try:\n        if os.fork() == 0: continue\n    except OSError: pass", Small with { Processes = 8 }, ScriptLimitHit.Processes);
        Python("memory bomb", "x = []\nwhile True: x.append(bytearray(1 << 20))", Small, ScriptLimitHit.Memory);
        Sh("memory bomb in children", "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = b\"x\" * (60 << 20); time.sleep(30)' & done; wait", Small, ScriptLimitHit.Memory);
        Python("memory bomb in shared pages", "import mmap, time\nx = []\nwhile True:\n    m = mmap.mmap(-1, 1 << 20); m.write(b'x' * (1 << 20)); x.append(m)", Small, ScriptLimitHit.Memory);
        Sh("spin", "while :; do :; done", Small with { CpuTime = TimeSpan.FromSeconds(1) }, ScriptLimitHit.CpuTime);
        Sh("spin in children", "for i in 1 2 3; do (while :; do :; done) & done; wait", Small with { CpuTime = TimeSpan.FromSeconds(1) }, ScriptLimitHit.CpuTime);
        Sh("spin in short children", "while :; do (i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done); done", Small with { CpuTime = TimeSpan.FromSeconds(1) }, ScriptLimitHit.CpuTime);
        Sh("sleep past the wall", "sleep 4242", Small with { Wall = TimeSpan.FromSeconds(2) }, ScriptLimitHit.Wall);
        Sh("write a large file", "exec head -c 100000000 /dev/zero > big", Small, null);
        Sh("make a sparse file of a terabyte", "truncate -s 1T big && echo ESCAPED");
        Sh("fill the folder", "i=0; while [ $i -lt 200 ]; do head -c 4000000 /dev/zero > f$i || exit 1; i=$((i+1)); done; echo ESCAPED");
        Sh("fill /tmp", "cd /tmp; i=0; while [ $i -lt 200 ]; do head -c 4000000 /dev/zero > f$i || exit 1; i=$((i+1)); done; echo ESCAPED");
        Python("make many files", "import os\ntry:\n    for i in range(3000000): open('f%d' % i, 'w').close()\n    print('ESCAPED')\nexcept OSError: pass", Small with { CpuTime = TimeSpan.FromSeconds(4) }, null);
        Python("open many files", "x = []\ntry:\n    for i in range(5000): x.append(open('/dev/null'))\n    print('ESCAPED')\nexcept OSError: pass");
        Sh("dump core", "ulimit -c unlimited && echo ESCAPED; kill -SEGV $$");
        Sh("raise a limit", "ulimit -f unlimited && echo ESCAPED; ulimit -t unlimited && echo ESCAPED; ulimit -n 100000 && echo ESCAPED");

        // Privileges.
        Sh("sudo and su", "sudo -n id && echo ESCAPED; echo | su -c id && echo ESCAPED; runuser -u root id && echo ESCAPED");
        Sh("set-uid programs", "for f in /usr/bin/passwd /usr/bin/chsh /usr/bin/mount /usr/bin/newgrp; do [ -u $f ] && $f -h; done; [ \"$(id -u)\" = 0 ] && echo ESCAPED; [ \"$(id -u)\" = 0 ]");
        Python("become root", "import os\nfor f, a in ((os.setuid, (0,)), (os.setgid, (0,)), (os.setgroups, ([0],)), (os.setresuid, (0, 0, 0)), (os.setreuid, (0, 0))):\n    try:\n        f(*a); print('ESCAPED', f)\n    except OSError as e: print(e)");
        Sh("a namespace of its own", "unshare -Ur id && echo ESCAPED; unshare -m true && echo ESCAPED; unshare -n true && echo ESCAPED");
        Sh("enter the server's namespaces", "nsenter -t $SERVER -a id && echo ESCAPED; nsenter -t 1 -m id && echo ESCAPED");
        Sh("mount", "mkdir m; mount -t tmpfs none m && echo ESCAPED; mount --bind / m && echo ESCAPED; mount -o remount,rw / && echo ESCAPED; umount /usr && echo ESCAPED");
        Sh("chroot", "mkdir c; chroot c && echo ESCAPED; chroot / id && echo ESCAPED");
        Sh("preload a library", "LD_PRELOAD=$CANARY/secret LD_LIBRARY_PATH=$CANARY id > /dev/null; cat /etc/ld.so.preload && echo ESCAPED");
        Sh("run the server's executable", "/proc/$SERVER/exe --version && echo ESCAPED");
        Sh("overwrite the program that started it", "echo x > /proc/self/exe && echo ESCAPED; echo x > /proc/$PPID/exe && echo ESCAPED");
        Sh("another sandbox inside", "bwrap --unshare-all --ro-bind / / true && echo ESCAPED");

        // Sockets.
        Sockets2("IPv4", "attempt(socket.AF_INET, socket.SOCK_STREAM, to=('127.0.0.1', int(os.environ['PORT'])))");
        Sockets2("IPv6", "attempt(socket.AF_INET6, socket.SOCK_STREAM, to=('::1', int(os.environ['PORT'])))");
        Sockets2("UDP", "attempt(socket.AF_INET, socket.SOCK_DGRAM)");
        Sockets2("raw", "attempt(socket.AF_INET, socket.SOCK_RAW, 1)");
        Sockets2("netlink", "attempt(16, socket.SOCK_RAW, 0)");
        Sockets2("packets", "attempt(17, socket.SOCK_RAW, 0x300)");
        Sockets2("vsock", "attempt(40, socket.SOCK_STREAM)");
        Sockets2("kernel crypto", "attempt(38, socket.SOCK_SEQPACKET)");
        Sockets2("bluetooth and CAN", "attempt(31, socket.SOCK_RAW)\nattempt(29, socket.SOCK_RAW)");
        Sockets2("every other family", "for f in range(2, 47): attempt(f, socket.SOCK_STREAM); attempt(f, socket.SOCK_DGRAM); attempt(f, socket.SOCK_RAW)");
        Sockets2("an abstract unix socket", "attempt(socket.AF_UNIX, socket.SOCK_STREAM, to='\\0' + os.environ['ABSTRACT'])");
        Sockets2("a unix socket", "attempt(socket.AF_UNIX, socket.SOCK_STREAM, to=os.environ['SOCKET'])");
        Sockets2("docker", "attempt(socket.AF_UNIX, socket.SOCK_STREAM, to='/var/run/docker.sock')\nattempt(socket.AF_UNIX, socket.SOCK_STREAM, to='/run/dbus/system_bus_socket')");
        Python("DNS", "import socket\ntry:\n    print('ESCAPED', socket.getaddrinfo('localhost.example.com', 80))\nexcept OSError as e: print(e)");
        Bash("bash's own sockets", "exec 5<>/dev/tcp/127.0.0.1/$PORT && echo ESCAPED; exec 6<>/dev/udp/127.0.0.1/$PORT && echo ESCAPED");
        Node("node's sockets", "require('net').connect(+process.env.PORT, '127.0.0.1').on('connect', () => console.log('ESCAPED')).on('error', e => console.log(e.code))");

        // System calls: x86-64 and arm64 numbers.
        Call("ptrace", "call(101, 117, 16, os.getppid(), 0, 0); call(101, 117, 0, 0, 0, 0)");
        Call("process_vm", "call(310, 270, server, 0, 0, 0, 0, 0); call(311, 271, server, 0, 0, 0, 0, 0)");
        Call("pidfd_getfd", "fd = os.pidfd_open(os.getpid()); call(438, 438, fd, 0, 0)");
        Call("kcmp", "call(312, 272, os.getpid(), server, 0, 0, 0)");
        Call("unshare", "call(272, 97, 0x10000000); call(272, 97, 0x20000); call(272, 97, 0x40000000)");
        Call("setns", "call(308, 268, 0, 0)");
        Call("clone with a namespace", "call(56, 220, 0x10000000 | 17, 0, 0, 0, 0); call(56, 220, 0x20000000 | 17, 0, 0, 0, 0)");
        Call("clone3", "b = ctypes.create_string_buffer(88); call(435, 435, b, 88)");
        Call("io_uring", "b = ctypes.create_string_buffer(256); call(425, 425, 8, b); call(426, 426, 0, 0, 0, 0, 0, 0); call(427, 427, 0, 0, 0, 0)");
        Call("bpf", "b = ctypes.create_string_buffer(128); call(321, 280, 0, b, 128); call(321, 280, 5, b, 128)");
        Call("userfaultfd", "call(323, 282, 0); call(323, 282, 1)");
        Call("keyrings", "call(250, 219, 0, -3, 1); call(248, 217, b'user', b'x', b'y', 1, -3); call(249, 218, b'user', b'x', 0, -3)");
        Call("perf_event_open", "b = ctypes.create_string_buffer(128); call(298, 241, b, 0, -1, -1, 0)");
        Call("mount calls", "call(165, 40, b'none', b'/tmp', b'tmpfs', 0, 0); call(166, 39, b'/usr', 2); call(155, 41, b'/', b'/'); call(161, 51, b'/')");
        Call("new mount calls", "call(428, 428, -100, b'/', 1); call(429, 429, -1, b'', -100, b'/', 4); call(430, 430, b'tmpfs', 0); call(431, 431, 0, 0, 0, 0, 0); call(432, 432, 0, 0, 0); call(433, 433, -100, b'/', 0); call(442, 442, -100, b'/', 0, 0, 0)");
        Call("files by handle", "b = ctypes.create_string_buffer(128); b[0] = 120; i = ctypes.c_int(); call(303, 264, -100, b'/', b, ctypes.byref(i), 0); call(304, 265, -100, b, 0)");
        Call("modules", "call(175, 105, 0, 0, b''); call(313, 273, 0, b'', 0); call(176, 106, b'x', 0)");
        Call("kexec and reboot", "call(246, 104, 0, 0, 0, 0); call(320, 294, -1, -1, 0, b'', 0); call(169, 142, 0xfee1dead, 672274793, 0)");
        Call("swap, quota and accounting", "call(167, 224, b'/tmp/x', 0); call(168, 225, b'/tmp/x'); call(179, 60, 0, 0, 0, 0); call(443, 443, 0, 0, 0, 0); call(163, 89, 0)");
        Call("clocks", "b = ctypes.create_string_buffer(256); call(227, 112, 0, b); call(164, 170, b, 0); call(159, 171, b); call(305, 266, 0, b)");
        Call("the kernel's log", "b = ctypes.create_string_buffer(64); call(103, 116, 3, b, 64); call(103, 116, 10, 0, 0)");
        Call("personality", "call(135, 92, 0x0040000); call(135, 92, 0x0400000)");
        Call("ports", "call(172, -1, 3); call(173, -1, 0, 16, 1)");
        Call("fanotify", "call(300, 262, 0, 0); call(301, 263, 0, 1, 1, -100, b'/')");
        Call("hidden memory", "call(319, 279, b'x', 0); call(447, 447, 0)");
        Call("System V memory and queues", "call(29, 194, 0, 1 << 20, 0o1600); call(68, 186, 0, 0o1600); call(64, 190, 0, 1, 0o1600)");
        Call("pages of others", "call(279, 239, server, 0, 0, 0, 0, 0); call(256, 238, server, 0, 0, 0)");
        Call("names of the machine", "call(170, 161, b'x', 1); call(171, 162, b'x', 1); call(153, 58)");
        Call("local descriptor tables and odd calls", "call(154, -1, 1, 0, 0); call(134, -1, b'x'); call(139, -1, 3, 0, 0); call(156, -1, 0); call(212, 18, 0, 0, 0)");
        Call("calls that are not known yet", "call(451, 451, 0); call(457, 457, 0, 0, 0, 0); call(462, 462, 0, 0, 0); call(500, 500, 0); call(1000, 1000, 0)");
        Call("typing into a terminal", "c = ctypes.c_char(b'x'); call(16, 29, 0, 0x5412, ctypes.byref(c)); call(16, 29, 0, 0x541C, ctypes.byref(c)); call(16, 29, 1, 0x5412, ctypes.byref(c)); call(16, 29, 0, 0x100005412, ctypes.byref(c))");
        Call("capabilities", "h = (ctypes.c_uint32 * 2)(0x20080522, 0); d = (ctypes.c_uint32 * 6)(0xffffffff, 0xffffffff, 0, 0xffffffff, 0xffffffff, 0); call(126, 91, h, d)");
        Call("priorities of the server", "refusals = (1, 3, 13, 38) # 3: in a namespace there is no such process.\ncall(141, 140, 0, server, 19); call(203, 122, server, 8, ctypes.create_string_buffer(8)); call(302, 261, server, 7, ctypes.create_string_buffer(16), 0) if not os.path.exists('/job') else None");
        Python("x32 calls", Calls + "if x64:\n    pid = os.fork()\n    if pid == 0:\n        libc.syscall(ctypes.c_long(0x40000000 + 39)); os._exit(0)\n    status = os.waitpid(pid, 0)[1]\n    print('refused' if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 31 else 'ESCAPED', status)");
        Python("32-bit calls", Calls + "import mmap\nif x64:\n    pid = os.fork()\n    if pid == 0:\n        m = mmap.mmap(-1, 4096, prot=7); m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))(); os._exit(0)\n    status = os.waitpid(pid, 0)[1]\n    print('refused' if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (11, 31) else 'ESCAPED', status)");

        // What comes back.
        Sh("a link as the result", "ln -s $CANARY/secret $DAEMON_OUTPUT");
        Sh("a link to the users as the result", "ln -s /etc/passwd $DAEMON_OUTPUT; exit 0");
        Sh("a link to an endless device as the result", "ln -s /dev/zero $DAEMON_OUTPUT");
        Sh("a pipe as the result", "mkfifo $DAEMON_OUTPUT");
        Sh("a folder as the result", "mkdir $DAEMON_OUTPUT");
        Python("a link that changes while it is read", "import os, time\nout = os.environ['DAEMON_OUTPUT']\nif os.fork() == 0:\n    end = time.time() + 1\n    while time.time() < end:\n        try:\n            os.symlink(os.environ['CANARY'] + '/secret', out + '.l'); os.rename(out + '.l', out)\n            open(out + '.f', 'w').write('1'); os.rename(out + '.f', out)\n        except OSError: pass\n    os._exit(0)\ntime.sleep(0.2)");
        Sh("terminal escapes", "printf '\\033]0;ESCAPE\\007\\033[2J\\033[31mx\\302\\233x\\r' ; printf '\\033[2J\\342\\200\\256' >&2");
        Sh("bytes that are no text", "head -c 3000 /dev/urandom; head -c 3000 /dev/urandom >&2");
        Sh("endless output", "yes ESCAPE", Small, ScriptLimitHit.Output);
        Sh("endless errors", "yes ESCAPE >&2", Small, ScriptLimitHit.Output);
        Python("a bomb that grows when it is read", "import zlib, sys\nd = zlib.decompressobj()\nz = zlib.compress(b'0' * (1 << 24))\nwhile True: sys.stdout.buffer.write(zlib.decompress(z))", Small, ScriptLimitHit.Output);
        Python("a deep result", "import os\nopen(os.environ['DAEMON_OUTPUT'], 'w').write('[' * 20000 + ']' * 20000)");
        Python("deep output", "print('[' * 20000 + ']' * 20000)");
        Python("a large result", "import os\nopen(os.environ['DAEMON_OUTPUT'], 'w').write('\"' + 'x' * 1000000 + '\"')", Small, ScriptLimitHit.Output);
        Sh("a forged report", "for p in $PPID 1 2 3; do printf '0\\n0m0.0s 0m0.0s\\n=\\n\"forged\"' > /proc/$p/fd/3; done; exit 7");
        return all;

        void Sh(string name, string script, ScriptLimits? limits = null, ScriptLimitHit? hit = ScriptLimitHit.None) =>
            all.Add(new(name, "sh", script, limits ?? Small, limits is null ? null : hit));
        void Bash(string name, string script, ScriptLimits? limits = null, ScriptLimitHit? hit = ScriptLimitHit.None) =>
            all.Add(new(name, "bash", script, limits ?? Small, limits is null ? null : hit));
        void Python(string name, string script, ScriptLimits? limits = null, ScriptLimitHit? hit = ScriptLimitHit.None) =>
            all.Add(new(name, "python", script, limits ?? Small, limits is null ? null : hit));
        void Node(string name, string script) => all.Add(new(name, "node", script, Small, null));
        void Call(string name, string script) => Python($"call: {name}", Calls + script);
        void Sockets2(string name, string script) => Python($"socket: {name}", Sockets + script);
    }
}
