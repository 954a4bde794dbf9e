using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Platform.Capabilities.Scripts;

/// <summary>Landlock's wire shapes (linux/landlock.h). What is handled and not granted is refused.</summary>
internal static partial class Landlock
{
    // The numbers are the same on all machines.
    public const nint CreateRuleset = 444;
    public const nint AddRule = 445;
    public const nint RestrictSelf = 446;

    /// <summary>From this ABI on signals and abstract unix sockets stay in the domain: without it a shared uid is not separated.</summary>
    public const int AbiWithScopes = 6;

    private const ulong Execute = 1 << 0, WriteFile = 1 << 1, ReadFile = 1 << 2, ReadDirectory = 1 << 3, MakeCharacterDevice = 1 << 6, MakeBlockDevice = 1 << 11;
    private const ulong Truncate = 1 << 14, IoctlDevice = 1 << 15;

    /// <returns>0 where the kernel has no Landlock or it is switched off.</returns>
    public static int Abi()
    {
        const nint versionFlag = 1;
        return Math.Max(0, (int)SystemCall(CreateRuleset, 0, 0, versionFlag));
    }

    public static byte[] Ruleset(int abi, out int size)
    {
        var bytes = new byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Handled(abi));
        const ulong bindAndConnect = 3, socketsAndSignals = 3;
        if (abi >= 4) { BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), bindAndConnect); }
        if (abi >= AbiWithScopes) { BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), socketsAndSignals); }
        size = abi >= AbiWithScopes ? 24 : abi >= 4 ? 16 : 8;
        return bytes;
    }

    public static byte[] Rule(int abi, LandlockAccess access, int path)
    {
        var bytes = new byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Handled(abi) & access switch
        {
            LandlockAccess.ReadFolder => Execute | ReadFile | ReadDirectory,
            LandlockAccess.ReadFile => ReadFile,
            LandlockAccess.Device => ReadFile | WriteFile | Truncate,
            LandlockAccess.WriteFolder => ~(MakeCharacterDevice | MakeBlockDevice | IoctlDevice),
        });
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), path);
        return bytes;
    }

    private static ulong Handled(int abi) => abi switch
    {
        >= 5 => (1 << 16) - 1,
        >= 3 => (1 << 15) - 1,
        2 => (1 << 14) - 1,
        _ => (1 << 13) - 1,
    };

    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint first, nint second, nint third);
}
