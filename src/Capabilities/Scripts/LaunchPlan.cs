using System.Text;

namespace Platform.Capabilities.Scripts;

/// <summary>What the launcher is told, over its standard input: argv and environment of a process can be read by others.</summary>
/// <param name="Parent">The server's process id: a launcher whose parent has died must not start anything.</param>
/// <param name="Uid">To become, with no other groups; null: stay who we are.</param>
/// <param name="Result">Path that opens the server's memory file for the result, which becomes descriptor 3.</param>
/// <param name="Joins">cgroup.procs files to enter.</param>
/// <param name="Ceilings">RLIMIT numbers and values.</param>
/// <param name="Files">Contents that the program finds at descriptors <see cref="FirstFile"/>, +1, ...</param>
/// <param name="Grants">Landlock rules; empty: no Landlock.</param>
/// <param name="Filter">Seccomp program to enter before the program starts; empty: none.</param>
internal sealed record LaunchPlan(
    int Parent,
    uint? Uid,
    string Result,
    string Folder,
    IReadOnlyList<string> Joins,
    IReadOnlyList<(int Resource, ulong Soft, ulong Hard)> Ceilings,
    IReadOnlyList<byte[]> Files,
    IReadOnlyList<LandlockGrant> Grants,
    byte[] Filter,
    string Program,
    IReadOnlyList<string> Arguments,
    IReadOnlyList<string> Environment)
{
    /// <summary>Above what the runtime has open when the launcher starts, below the sandbox's own RLIMIT_NOFILE.</summary>
    public const int FirstFile = 200;

    public const int ResultDescriptor = 3;

    public void Write(Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Parent);
        writer.Write(Uid is not null);
        writer.Write(Uid ?? 0);
        writer.Write(Result);
        writer.Write(Folder);
        WriteAll(Joins, writer.Write);
        WriteAll(Ceilings, ceiling => { writer.Write(ceiling.Resource); writer.Write(ceiling.Soft); writer.Write(ceiling.Hard); });
        WriteAll(Files, bytes => { writer.Write(bytes.Length); writer.Write(bytes); });
        WriteAll(Grants, grant => { writer.Write(grant.Path); writer.Write((int)grant.Access); });
        writer.Write(Filter.Length);
        writer.Write(Filter);
        writer.Write(Program);
        WriteAll(Arguments, writer.Write);
        WriteAll(Environment, writer.Write);

        void WriteAll<T>(IReadOnlyList<T> items, Action<T> write)
        {
            writer.Write(items.Count);
            foreach (var item in items) { write(item); }
        }
    }

    public static LaunchPlan Read(Stream stream)
    {
        using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
        var parent = reader.ReadInt32();
        var hasUid = reader.ReadBoolean();
        var uid = reader.ReadUInt32();
        var result = reader.ReadString();
        var folder = reader.ReadString();
        var joins = ReadStrings();
        var ceilings = new (int, ulong, ulong)[reader.ReadInt32()];
        for (var i = 0; i < ceilings.Length; i++) { ceilings[i] = (reader.ReadInt32(), reader.ReadUInt64(), reader.ReadUInt64()); }
        var files = new byte[reader.ReadInt32()][];
        for (var i = 0; i < files.Length; i++) { files[i] = reader.ReadBytes(reader.ReadInt32()); }
        var grants = new LandlockGrant[reader.ReadInt32()];
        for (var i = 0; i < grants.Length; i++) { grants[i] = new LandlockGrant(reader.ReadString(), (LandlockAccess)reader.ReadInt32()); }
        var filter = reader.ReadBytes(reader.ReadInt32());
        var program = reader.ReadString();

        return new LaunchPlan(parent, hasUid ? uid : null, result, folder, joins, ceilings, files, grants, filter, program, ReadStrings(), ReadStrings());

        string[] ReadStrings()
        {
            var strings = new string[reader.ReadInt32()];
            for (var i = 0; i < strings.Length; i++) { strings[i] = reader.ReadString(); }
            return strings;
        }
    }
}

internal enum LandlockAccess
{
    /// <summary>A folder whose files may be read and executed.</summary>
    ReadFolder,

    /// <summary>One file that may be read.</summary>
    ReadFile,

    /// <summary>A device file such as /dev/null.</summary>
    Device,

    /// <summary>The job's own folder.</summary>
    WriteFolder,
}

internal readonly record struct LandlockGrant(string Path, LandlockAccess Access);
