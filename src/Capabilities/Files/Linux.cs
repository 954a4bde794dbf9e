using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

/// <summary>The system calls that work relative to an open folder, so that a name swapped for a link is never followed.</summary>
internal static partial class Linux
{
    public const int ReadOnly = 0;
    public const int WriteOnly = 1;
    public const int Create = 0x40;
    public const int Exclusive = 0x80;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;
    public const int PathOnly = 0x200000;

    /// <summary>O_DIRECTORY and O_NOFOLLOW trade places between x64 and arm64.</summary>
    public static readonly int Folder = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : 0x10000;

    public static readonly int NoFollow = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x8000 : 0x20000;

    public const int CurrentFolder = -100;
    public const int EmptyPath = 0x1000;
    public const int SymlinkNoFollow = 0x100;
    public const int RemoveFolder = 0x200;
    public const uint NoReplace = 1;

    public const int ENOENT = 2;
    public const int EAGAIN = 11;
    public const int EACCES = 13;
    public const int EPERM = 1;
    public const int EEXIST = 17;
    public const int EXDEV = 18;
    public const int ENOTDIR = 20;
    public const int EINVAL = 22;
    public const int EROFS = 30;
    public const int ENAMETOOLONG = 36;
    public const int ENOSYS = 38;
    public const int ENOTEMPTY = 39;
    public const int ELOOP = 40;

    private const int OpenAt2Call = 437;
    private static readonly int GetEntriesCall = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 61 : 217;

    // RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
    private const ulong Beneath = 0x02 | 0x04 | 0x08;

    public static unsafe SafeFileHandle OpenBeneath(SafeFileHandle folder, string path, int flags)
    {
        var how = new OpenHow { Flags = (ulong)(uint)(flags | CloseOnExec), Resolve = Beneath };
        return OpenAt2(OpenAt2Call, folder, path, &how, (nuint)sizeof(OpenHow));
    }

    /// <summary>The kernel's record of a file; null where there is none of that name.</summary>
    public static FileStatus? Status(SafeFileHandle folder, string name, string shown)
    {
        var flags = SymlinkNoFollow | (name.Length == 0 ? EmptyPath : 0);
        if (StatX(folder, name, flags, 0x7FF, out var status) == 0) { return status; }
        return Marshal.GetLastPInvokeError() is ENOENT ? null : throw Failure(shown);
    }

    /// <summary>Raw entries (type and name bytes) of a folder, until <paramref name="entry"/> answers false.</summary>
    public static unsafe void Entries(SafeFileHandle folder, string shown, Func<byte, byte[], bool> entry)
    {
        var buffer = new byte[32 * 1024];
        fixed (byte* start = buffer)
        {
            while (true)
            {
                var count = (int)GetEntries(GetEntriesCall, folder, start, (nuint)buffer.Length);
                if (count < 0) { throw Failure(shown); }
                if (count == 0) { return; }
                for (var at = 0; at < count;)
                {
                    var length = BitConverter.ToUInt16(buffer, at + 16);
                    var name = buffer.AsSpan(at + 19, length - 19);
                    name = name[..name.IndexOf((byte)0)];
                    if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8) && !entry(buffer[at + 18], name.ToArray())) { return; }
                    at += length;
                }
            }
        }
    }

    /// <summary>The last error as a refusal that names the file.</summary>
    public static CapabilityException Failure(string path) => Failure(path, Marshal.GetLastPInvokeError());

    public static CapabilityException Failure(string path, int error) => error switch
    {
        ENOENT => new CapabilityException("not_found", $"{path} does not exist."),
        ELOOP => new CapabilityException("denied", $"{path} is or goes through a symbolic link; links are not followed."),
        ENOTDIR => new CapabilityException("denied", $"{path} goes through something that is no folder, or through a symbolic link; links are not followed."),
        EXDEV => new CapabilityException("denied", $"{path} leads out of the granted folder or into another file system."),
        EACCES or EPERM or EROFS => new CapabilityException("denied", $"{path}: the operating system refuses it ({new Win32Exception(error).Message})."),
        EEXIST => new CapabilityException("conflict", $"{path} exists already."),
        ENOTEMPTY => new CapabilityException("conflict", $"{path} is not empty."),
        ENAMETOOLONG or EINVAL => new CapabilityException("invalid", $"{path} is no name that this file system takes."),
        EAGAIN => new CapabilityException("conflict", $"{path}: folders on the way are being renamed; try again."),
        _ => new CapabilityException("io", $"{path}: {new Win32Exception(error).Message}."),
    };

    [LibraryImport("libc", EntryPoint = "openat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial SafeFileHandle OpenAt(SafeFileHandle folder, string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial SafeFileHandle Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "mkdirat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial int MakeFolder(SafeFileHandle folder, string name, uint mode);

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial int Rename(SafeFileHandle fromFolder, string from, SafeFileHandle toFolder, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "unlinkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial int Unlink(SafeFileHandle folder, string name, int flags);

    [LibraryImport("libc", EntryPoint = "fchmod", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial int ChangeMode(SafeFileHandle file, uint mode);

    [LibraryImport("libc", EntryPoint = "fchown", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial int ChangeOwner(SafeFileHandle file, uint user, uint group);

    [LibraryImport("libc", EntryPoint = "futimens", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static unsafe partial int ChangeTimes(SafeFileHandle file, TimeSpec* accessAndModified);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static partial uint EffectiveUser();

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int StatX(SafeFileHandle folder, string path, int flags, uint mask, out FileStatus status);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial SafeFileHandle OpenAt2(nint call, SafeFileHandle folder, string path, OpenHow* how, nuint size);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial nint GetEntries(nint call, SafeFileHandle folder, byte* buffer, nuint size);

    private struct OpenHow
    {
        public ulong Flags;
        public ulong Mode;
        public ulong Resolve;
    }

    public readonly record struct TimeSpec(nint Seconds, nint Nanoseconds);
}

/// <summary>struct statx, as far as it is used.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal readonly struct FileStatus
{
    [FieldOffset(16)] public readonly uint Links;
    [FieldOffset(20)] public readonly uint User;
    [FieldOffset(24)] public readonly uint Group;
    [FieldOffset(28)] private readonly ushort mode;
    [FieldOffset(32)] public readonly ulong Inode;
    [FieldOffset(40)] public readonly long SizeBytes;
    [FieldOffset(112)] public readonly long ModifiedSeconds;
    [FieldOffset(120)] public readonly uint ModifiedNanoseconds;

    public uint Mode => mode & 0xFFFu;

    public bool IsFile => (mode & 0xF000) == 0x8000;

    public bool IsFolder => (mode & 0xF000) == 0x4000;

    public bool IsLink => (mode & 0xF000) == 0xA000;

    public string Kind => (mode & 0xF000) switch
    {
        0x8000 => "file",
        0x4000 => "folder",
        0xA000 => "link",
        _ => "other",
    };
}
