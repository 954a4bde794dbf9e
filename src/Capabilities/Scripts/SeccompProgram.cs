using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Platform.Capabilities.Scripts;

/// <summary>What stands between a script and the rest of the machine besides the filter; the less there is, the more the filter takes.</summary>
internal enum SeccompScope
{
    /// <summary>Own namespaces: signals, sessions and unix sockets stay inside.</summary>
    Namespaces,

    /// <summary>No namespaces, but a uid of its own.</summary>
    OwnUid,

    /// <summary>No namespaces and the server's uid: file modes and times of the server's files would be open to it.</summary>
    SharedUid,
}

/// <summary>The classic BPF program that decides about each system call (seccomp(2)). Built here, so that no library is needed.</summary>
internal static class SeccompProgram
{
    private const int Eperm = 1;
    private const int Eacces = 13;
    private const int Enosys = 38;

    private const uint RetKillProcess = 0x8000_0000;
    private const uint RetErrno = 0x0005_0000;
    private const uint RetAllow = 0x7fff_0000;

    private const uint OffsetNumber = 0;
    private const uint OffsetArchitecture = 4;
    private const uint OffsetArguments = 16;

    private const uint AuditX64 = 0xC000_003E;
    private const uint AuditArm64 = 0xC000_00B7;
    private const uint X32Bit = 0x4000_0000;

    /// <summary>Numbers from here on were given out after this list was written (they are the same on all machines since 424): unknown, so not there.</summary>
    private const uint FirstUnknown = 451;

    /// <summary>CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME shares its bit with the exit signal of clone and needs unshare or clone3.</summary>
    private const uint NewNamespaces = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;

    /// <summary>TIOCSTI types into a terminal, TIOCLINUX pastes into one, TIOCSETD loads line disciplines, TIOCCONS takes the console.</summary>
    private static readonly uint[] TerminalTricks = [0x5412, 0x541C, 0x5423, 0x541D];

    /// <summary>Refused with EPERM in every tier: name, number on x86-64, number on arm64 (-1: not there).</summary>
    private static readonly (string Name, int X64, int Arm64)[] Refused =
    [
        // Other processes.
        ("ptrace", 101, 117), ("process_vm_readv", 310, 270), ("process_vm_writev", 311, 271), ("process_madvise", 440, 440),
        ("process_mrelease", 448, 448), ("kcmp", 312, 272), ("pidfd_getfd", 438, 438), ("migrate_pages", 256, 238), ("move_pages", 279, 239),
        // Mounts and roots.
        ("mount", 165, 40), ("umount2", 166, 39), ("pivot_root", 155, 41), ("chroot", 161, 51), ("move_mount", 429, 429), ("open_tree", 428, 428),
        ("fsopen", 430, 430), ("fsconfig", 431, 431), ("fsmount", 432, 432), ("fspick", 433, 433), ("mount_setattr", 442, 442),
        ("unshare", 272, 97), ("setns", 308, 268),
        // Files by handle reach past any mount or Landlock rule.
        ("open_by_handle_at", 304, 265), ("name_to_handle_at", 303, 264),
        // The kernel's large attack surfaces.
        ("bpf", 321, 280), ("userfaultfd", 323, 282), ("perf_event_open", 298, 241), ("keyctl", 250, 219), ("add_key", 248, 217), ("request_key", 249, 218),
        ("fanotify_init", 300, 262), ("fanotify_mark", 301, 263), ("modify_ldt", 154, -1), ("vmsplice", 278, 75),
        // The machine.
        ("kexec_load", 246, 104), ("kexec_file_load", 320, 294), ("init_module", 175, 105), ("finit_module", 313, 273), ("delete_module", 176, 106),
        ("create_module", 174, -1), ("query_module", 178, -1), ("get_kernel_syms", 177, -1), ("swapon", 167, 224), ("swapoff", 168, 225), ("reboot", 169, 142),
        ("settimeofday", 164, 170), ("clock_settime", 227, 112), ("clock_adjtime", 305, 266), ("adjtimex", 159, 171), ("personality", 135, 92),
        ("quotactl", 179, 60), ("quotactl_fd", 443, 443), ("acct", 163, 89), ("syslog", 103, 116), ("vhangup", 153, 58), ("iopl", 172, -1), ("ioperm", 173, -1),
        ("sethostname", 170, 161), ("setdomainname", 171, 162), ("lookup_dcookie", 212, 18), ("nfsservctl", 180, 42), ("uselib", 134, -1), ("ustat", 136, -1),
        ("sysfs", 139, -1), ("_sysctl", 156, -1),
        // Memory that the watchdog could not see: it belongs to no process's resident set.
        ("shmget", 29, 194), ("shmat", 30, 196), ("shmctl", 31, 195), ("msgget", 68, 186), ("msgsnd", 69, 189), ("msgrcv", 70, 188), ("msgctl", 71, 187),
        ("semget", 64, 190), ("semop", 65, 193), ("semctl", 66, 191), ("semtimedop", 220, 192),
    ];

    /// <summary>Answered with ENOSYS, so that libraries take their older way.</summary>
    private static readonly (string Name, int X64, int Arm64)[] Absent =
    [
        // Its flags lie in memory, where a filter cannot look.
        ("clone3", 435, 435),
        ("io_uring_setup", 425, 425), ("io_uring_enter", 426, 426), ("io_uring_register", 427, 427),
        ("memfd_secret", 447, 447), ("memfd_create", 319, 279),
    ];

    /// <summary>Without namespaces: what ties a process to its group, by which all of a script is killed at once, and what is shared with the machine.</summary>
    private static readonly (string Name, int X64, int Arm64)[] RefusedWithoutNamespaces =
    [
        ("setsid", 112, 157), ("setpgid", 109, 154), ("mq_open", 240, 180), ("mq_unlink", 241, 181), ("pidfd_send_signal", 424, 424),
        // Whoever may write a file may set its attributes, and Landlock has no say in that.
        ("setxattr", 188, 5), ("lsetxattr", 189, 6), ("fsetxattr", 190, 7), ("removexattr", 197, 14), ("lremovexattr", 198, 15), ("fremovexattr", 199, 16),
    ];

    /// <summary>Landlock does not govern modes, owners and times; with the server's own uid nothing else would.</summary>
    private static readonly (string Name, int X64, int Arm64)[] RefusedWithSharedUid =
    [
        ("chmod", 90, -1), ("fchmodat", 268, 53), ("fchmod", 91, 52), ("chown", 92, -1), ("lchown", 94, -1), ("fchown", 93, 55), ("fchownat", 260, 54),
        ("utime", 132, -1), ("utimes", 235, -1), ("utimensat", 280, 88), ("futimesat", 261, -1),
    ];

    /// <summary>Allowed on oneself only, which is written as 0 in the argument given.</summary>
    private static readonly (string Name, int X64, int Arm64, int Argument)[] OnlyOnOneself =
    [
        ("prlimit64", 302, 261, 0), ("sched_setaffinity", 203, 122, 0), ("sched_setscheduler", 144, 119, 0), ("sched_setparam", 142, 118, 0),
        ("sched_setattr", 314, 274, 0), ("setpriority", 141, 140, 1), ("ioprio_set", 251, 30, 1),
    ];

    public static bool Knows(Architecture architecture) => architecture is Architecture.X64 or Architecture.Arm64;

    /// <returns>An array of struct sock_filter, 8 bytes each, in the machine's byte order (both machines are little-endian).</returns>
    public static byte[] Build(Architecture architecture, SeccompScope scope)
    {
        if (!Knows(architecture)) { throw new PlatformNotSupportedException($"No system call filter for {architecture}."); }

        var x64 = architecture == Architecture.X64;
        var program = new List<Instruction>
        {
            Load(OffsetArchitecture),
            JumpIfEqual(x64 ? AuditX64 : AuditArm64, 1, 0),
            Return(RetKillProcess),
            Load(OffsetNumber),
        };
        if (x64) { program.AddRange([JumpIfAnyBit(X32Bit, 0, 1), Return(RetKillProcess)]); }
        program.AddRange([JumpIfAtLeast(FirstUnknown, 0, 1), Return(RetErrno | Enosys)]);

        foreach (var (_, numberX64, numberArm64) in Refused) { Deny(x64 ? numberX64 : numberArm64, Eperm); }
        foreach (var (_, numberX64, numberArm64) in Absent) { Deny(x64 ? numberX64 : numberArm64, Enosys); }

        When(x64 ? 56 : 220, [Load(Argument(0)), JumpIfAnyBit(NewNamespaces, 0, 1), Return(RetErrno | Eperm), Return(RetAllow)]);
        When(x64 ? 16 : 29,
            [Load(Argument(1)), .. TerminalTricks.SelectMany(trick => (Instruction[])[JumpIfEqual(trick, 0, 1), Return(RetErrno | Eperm)]), Return(RetAllow)]);

        // A unix socket's path or abstract name reaches the machine's own services unless mounts and network are namespaces of our own; socketpair stays.
        const uint unix = 1;
        When(x64 ? 41 : 198, scope == SeccompScope.Namespaces
            ? [Load(Argument(0)), JumpIfEqual(unix, 1, 0), Return(RetErrno | Eacces), Return(RetAllow)]
            : [Return(RetErrno | Eacces)]);

        if (scope != SeccompScope.Namespaces)
        {
            foreach (var (_, numberX64, numberArm64) in RefusedWithoutNamespaces) { Deny(x64 ? numberX64 : numberArm64, Eperm); }
            foreach (var (_, numberX64, numberArm64, argument) in OnlyOnOneself)
            {
                When(x64 ? numberX64 : numberArm64, [Load(Argument(argument)), JumpIfEqual(0, 1, 0), Return(RetErrno | Eperm), Return(RetAllow)]);
            }
        }

        if (scope == SeccompScope.SharedUid)
        {
            foreach (var (_, numberX64, numberArm64) in RefusedWithSharedUid) { Deny(x64 ? numberX64 : numberArm64, Eperm); }
        }

        program.Add(Return(RetAllow));

        var bytes = new byte[program.Count * 8];
        for (var i = 0; i < program.Count; i++)
        {
            var slot = bytes.AsSpan(i * 8, 8);
            BinaryPrimitives.WriteUInt16LittleEndian(slot, program[i].Code);
            slot[2] = program[i].WhenTrue;
            slot[3] = program[i].WhenFalse;
            BinaryPrimitives.WriteUInt32LittleEndian(slot[4..], program[i].Value);
        }

        return bytes;

        void Deny(int number, int errno)
        {
            if (number >= 0) { program.AddRange([JumpIfEqual((uint)number, 0, 1), Return(RetErrno | (uint)errno)]); }
        }

        // The body always returns, so what follows still has the number loaded.
        void When(int number, IReadOnlyList<Instruction> body)
        {
            if (number < 0) { return; }
            program.Add(JumpIfEqual((uint)number, 0, (byte)body.Count));
            program.AddRange(body);
        }
    }

    private static uint Argument(int index) => OffsetArguments + (uint)(index * 8);

    private static Instruction Load(uint offset) => new(0x20, 0, 0, offset);

    private static Instruction JumpIfEqual(uint value, byte whenTrue, byte whenFalse) => new(0x15, whenTrue, whenFalse, value);

    private static Instruction JumpIfAtLeast(uint value, byte whenTrue, byte whenFalse) => new(0x35, whenTrue, whenFalse, value);

    private static Instruction JumpIfAnyBit(uint value, byte whenTrue, byte whenFalse) => new(0x45, whenTrue, whenFalse, value);

    private static Instruction Return(uint value) => new(0x06, 0, 0, value);

    private readonly record struct Instruction(ushort Code, byte WhenTrue, byte WhenFalse, uint Value);
}
