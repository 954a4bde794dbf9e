using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Search;

/// <summary>
/// An index on the disk: a file a segment, never changed, and <c>index</c>, which names them with the rows that live and the position, and is replaced as a
/// whole. A crash leaves the old index or the new one, and files that the next save removes.
/// </summary>
internal sealed unsafe partial class IndexFolder : IDisposable
{
    private const string ManifestName = "index";

    /// <summary>"PLATIDX" and the version of the layout.</summary>
    private const ulong Magic = 0x0158444954414c50;

    /// <summary>A manifest has a bit a document and a few bytes a segment: 64 MiB are 500 million documents.</summary>
    private const int ManifestBytes = 64 * 1024 * 1024;

    private readonly string path;
    private readonly IndexSettings settings;
    private readonly FileStream only;
    private long nextNumber = 1;

    /// <exception cref="IOException">Another process has it open.</exception>
    public IndexFolder(string path, IndexSettings settings)
    {
        (this.path, this.settings) = (Path.GetFullPath(path), settings);
        Directory.CreateDirectory(path);
        only = new FileStream(Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
    }

    private string Manifest => Path.Combine(path, ManifestName);

    private ulong Analysis => new Analyser(settings.Stemming, settings.FoldAccents).Version;

    /// <summary>What was saved last; empty where nothing was.</summary>
    /// <exception cref="CorruptIndexException"/>
    public IndexSnapshot Load()
    {
        if (!File.Exists(Manifest)) { return new IndexSnapshot([], 0); }

        var size = new FileInfo(Manifest).Length;
        if (size > ManifestBytes) { throw Corrupt($"it has {size} bytes, more than {ManifestBytes}"); }

        var bytes = File.ReadAllBytes(Manifest);
        if (bytes.Length < 12 || Checksum.Of(bytes.AsSpan(..^4)) != BitConverter.ToUInt32(bytes.AsSpan(^4..))) { throw Corrupt("its checksum is wrong"); }

        var views = new List<SegmentView>();
        try
        {
            using var reader = new BinaryReader(new MemoryStream(bytes, 0, bytes.Length - 4));
            var position = ReadHead(reader);
            for (var left = reader.ReadInt32(); left > 0; left--) { views.Add(ReadSegment(reader)); }
            if (reader.BaseStream.Position != reader.BaseStream.Length) { throw Corrupt("more follows its last segment"); }
            return new IndexSnapshot(views, position);
        }
        catch (EndOfStreamException)
        {
            throw Corrupt("it ends too early");
        }
        finally
        {
            // A snapshot holds its segments itself.
            foreach (var view in views) { view.Segment.LetGo(); }
        }
    }

    /// <summary>Writes what is not yet a file of this folder, then the manifest, then removes what it does not name.</summary>
    public IndexSnapshot Save(IndexSnapshot snapshot)
    {
        var mapped = new List<Segment>();
        try
        {
            var views = snapshot.Segments.Select(view =>
            {
                if (view.Segment.Memory.File is not null) { return view; }
                mapped.Add(Write(view.Segment));
                return new SegmentView(mapped[^1], view.Live);
            }).ToArray();
            Replace(Manifest, ManifestOf(views, snapshot.Position));
            RemoveAllBut(views.Select(view => view.Segment.Memory.File!));
            return new IndexSnapshot(views, snapshot.Position);
        }
        finally
        {
            foreach (var segment in mapped) { segment.LetGo(); }
        }
    }

    /// <summary>Removes what was saved, the manifest first.</summary>
    public void Clear()
    {
        File.Delete(Manifest);
        FlushFolder();
        RemoveAllBut([]);
    }

    public void Dispose() => only.Dispose();

    private long ReadHead(BinaryReader reader)
    {
        if (reader.ReadUInt64() != Magic) { throw Corrupt("it is no index of this version"); }

        var made = (Dimensions: reader.ReadInt32(), Similarity: (Similarity)reader.ReadInt32(), Analysis: reader.ReadUInt64(), TitleWeight: reader.ReadInt32());
        if (made != (settings.Dimensions, settings.Similarity, Analysis, settings.TitleWeight)) { throw Corrupt("it was made with other settings (dimensions, similarity, stemming, accents or the weight of titles), or by another version"); }

        nextNumber = reader.ReadInt64();
        var position = reader.ReadInt64();
        return nextNumber < 1 || position < 0 ? throw Corrupt("its position or its count of segments is negative") : position;
    }

    private SegmentView ReadSegment(BinaryReader reader)
    {
        var file = FileOf(reader.ReadInt64());
        var (length, checksum, rows) = (reader.ReadInt64(), reader.ReadUInt32(), reader.ReadInt32());
        if (!File.Exists(file)) { throw new CorruptIndexException(file, "it is not there"); }

        var segment = new Segment(SegmentMemory.Map(file));
        try
        {
            if (segment.Memory.Length != length || segment.HeaderChecksum != checksum || segment.Rows != rows) { throw new CorruptIndexException(file, "it is not the segment that the index names"); }
            if (segment.Header.Dimensions != settings.Dimensions || segment.Header.Similarity != settings.Similarity || segment.Header.Analysis != Analysis) { throw new CorruptIndexException(file, "it was made with other settings"); }
            if (!reader.ReadBoolean()) { return new SegmentView(segment, null); }

            var words = new ulong[(rows + 63L) / 64];
            for (var at = 0; at < words.Length; at++) { words[at] = reader.ReadUInt64(); }
            return new SegmentView(segment, Bitmap.From(rows, words));
        }
        catch
        {
            segment.LetGo();
            throw;
        }
    }

    private byte[] ManifestOf(SegmentView[] views, long position)
    {
        var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write(Magic);
        writer.Write(settings.Dimensions);
        writer.Write((int)settings.Similarity);
        writer.Write(Analysis);
        writer.Write(settings.TitleWeight);
        writer.Write(nextNumber);
        writer.Write(position);
        writer.Write(views.Length);
        foreach (var view in views)
        {
            writer.Write(NumberOf(view.Segment.Memory.File!));
            writer.Write(view.Segment.Memory.Length);
            writer.Write(view.Segment.HeaderChecksum);
            writer.Write(view.Segment.Rows);
            writer.Write(view.Live is not null);
            if (view.Live is null) { continue; }
            foreach (var word in view.Live.Words) { writer.Write(word); }
        }

        writer.Flush();
        writer.Write(Checksum.Of(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)));
        writer.Flush();
        return bytes.ToArray();
    }

    private Segment Write(Segment segment)
    {
        var file = FileOf(nextNumber++);
        using (var handle = File.OpenHandle(file, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.None, segment.Memory.Length))
        {
            for (var at = 0L; at < segment.Memory.Length;)
            {
                var part = segment.Memory.Slice(at, Math.Min(segment.Memory.Length - at, 1 << 24));
                RandomAccess.Write(handle, part, at);
                at += part.Length;
            }

            Flush(handle, file);
        }

        return new Segment(SegmentMemory.Map(file));
    }

    private void Replace(string file, byte[] bytes)
    {
        var temporary = file + ".new";
        using (var handle = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(handle, bytes, 0);
            Flush(handle, temporary);
        }

        // The names of the segments must be on the disk before a manifest that names them.
        FlushFolder();
        File.Move(temporary, file, overwrite: true);
        FlushFolder();
    }

    private void RemoveAllBut(IEnumerable<string> kept)
    {
        foreach (var file in Directory.EnumerateFiles(path, "segment-*").Except(kept, StringComparer.Ordinal)) { File.Delete(file); }
    }

    private string FileOf(long number) => Path.Combine(path, $"segment-{number:x16}");

    private static long NumberOf(string file) => long.Parse(Path.GetFileName(file)["segment-".Length..], System.Globalization.NumberStyles.HexNumber, null);

    private CorruptIndexException Corrupt(string wrong) => new(Manifest, wrong);

    private void FlushFolder()
    {
        using var handle = Open(Encoding.UTF8.GetBytes(path + '\0'), CloseOnExec, 0);
        if (handle.IsInvalid) { throw new IOException($"Folder {path} could not be opened: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}."); }
        Flush(handle, path);
    }

    /// <summary>.NET's own flush takes some failures for success; here everything but 0 is one.</summary>
    private static void Flush(SafeFileHandle handle, string name)
    {
        if (FSync(handle) != 0) { throw new IOException($"{name} could not be made durable: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}."); }
    }

    private const int CloseOnExec = 0x10;

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_FSync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int FSync(SafeFileHandle file);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_Open", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial SafeFileHandle Open(byte[] path, int flags, int mode);
}
