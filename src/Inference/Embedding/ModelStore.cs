using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Platform.Domain.Inference;
using Platform.GpuKernels.Embedding;

namespace Platform.Inference.Embedding;

/// <summary>A model's files where they stay.</summary>
/// <param name="ContentHash">SHA-256 over the files' names and hashes; also the folder's name.</param>
/// <param name="LeftOut">What of the source was not taken: it is not needed to embed.</param>
public sealed record StoredModel(string ContentHash, string Folder, IReadOnlyList<ModelFile> Files, IReadOnlyList<string> LeftOut);

/// <summary>A source or a stored model that cannot be taken: it says why and what to do.</summary>
public sealed class ModelStoreException(string message) : Exception(message);

/// <summary>
/// The folder of imported models, each in a folder named after its content's hash, so that it never changes and nothing is kept twice. Sources are
/// the work of strangers: nothing is followed, nothing is unpacked outside, everything is counted while it is copied.
/// </summary>
/// <param name="root">Made when the first model comes.</param>
public sealed class ModelStore(string root)
{
    /// <summary>Entries that a source may have, needed or not.</summary>
    public const int MaxEntries = 10_000;

    /// <summary>Of a file that is not the weights; the largest tokenizer.json is about 35 MB.</summary>
    public const long MaxSideFileBytes = 256L * 1024 * 1024;

    private const string Weights = "model.safetensors";
    private const string Incoming = ".incoming-";
    private const string Leaving = ".leaving-";
    private const string TurnFile = ".turn";

    /// <summary>EWOULDBLOCK, which is what .NET gives as the HResult where a file is locked.</summary>
    private const int WouldBlock = 11;

    private static readonly TimeSpan BetweenLooks = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Waits until no other process imports or removes here: whether files are still wanted is told by events, which must not change between the look and the deed. What
    /// was left by one that was killed goes.
    /// </summary>
    /// <returns>To be disposed of when all is done, the event included.</returns>
    public async Task<IDisposable> TakeTurn(CancellationToken cancellation)
    {
        Directory.CreateDirectory(root);
        var path = Path.Combine(root, TurnFile);
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                // The runtime locks it by flock(2), which ends with the process.
                var turn = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                foreach (var left in (string[])[Incoming, Leaving]) { foreach (var folder in Directory.GetDirectories(root, left + "*")) { Directory.Delete(folder, recursive: true); } }

                return turn;
            }
            catch (IOException e) when (e.HResult == WouldBlock) { await Task.Delay(BetweenLooks, cancellation); }
        }
    }

    public string FolderOf(string contentHash) => Path.Combine(root, contentHash);

    /// <summary>Copies the files that a model needs from a directory or a zip, and tries the copy.</summary>
    /// <param name="keep">False: nothing stays, as if it had not been asked.</param>
    /// <exception cref="ModelStoreException">The source cannot be taken.</exception>
    /// <exception cref="UnusableModelException">The model cannot be used.</exception>
    public StoredModel Import(string source, bool keep, CancellationToken cancellation)
    {
        Directory.CreateDirectory(root);
        var staged = Directory.CreateDirectory(Path.Combine(root, $"{Incoming}{Guid.CreateVersion7():n}")).FullName;
        try
        {
            var leftOut = new List<string>();
            var files = new List<ModelFile>();
            if (Directory.Exists(source)) { CopyDirectory(source, staged, files, leftOut, cancellation); }
            else if (File.Exists(source)) { CopyZip(source, staged, files, leftOut, cancellation); }
            else { throw new ModelStoreException($"There is no directory or file {source}."); }

            if (files.Count == 0) { throw new ModelStoreException($"{source} holds none of a model's files: config.json, {Weights}, tokenizer.json."); }

            files.Sort((left, right) => string.CompareOrdinal(left.Path, right.Path));
            Try(staged, cancellation);
            var hash = HashOf(files);
            var folder = FolderOf(hash);
            if (keep) { Place(staged, folder, files, cancellation); }

            return new StoredModel(hash, folder, files, leftOut);
        }
        catch (InvalidDataException error) { throw new ModelStoreException($"{source} is no zip that can be read: {error.Message}"); }
        finally
        {
            if (Directory.Exists(staged)) { Directory.Delete(staged, recursive: true); }
        }
    }

    /// <summary>Hashes the files again, and embeds a text.</summary>
    /// <returns>What is wrong, in sentences; none: it is as it was imported.</returns>
    public IReadOnlyList<string> Verify(string contentHash, IReadOnlyList<ModelFile> files, CancellationToken cancellation)
    {
        var folder = FolderOf(contentHash);
        if (!Directory.Exists(folder)) { return [$"Its folder {folder} is missing: import it again."]; }

        var wrong = Faults(folder, files, cancellation);
        if (wrong.Count > 0) { return wrong; }

        try { Try(folder, cancellation); }
        catch (UnusableModelException error) { return [$"It cannot be used: {error.Message}"]; }

        return [];
    }

    /// <summary>Deletes a model's folder, where it is.</summary>
    public void Delete(string contentHash)
    {
        if (Directory.Exists(FolderOf(contentHash))) { Directory.Delete(FolderOf(contentHash), recursive: true); }
    }

    /// <summary>How a folder differs from what was imported.</summary>
    private static List<string> Faults(string folder, IReadOnlyList<ModelFile> files, CancellationToken cancellation)
    {
        var wrong = new List<string>();
        foreach (var file in files)
        {
            var path = Path.Combine(folder, file.Path);
            if (!File.Exists(path)) { wrong.Add($"{file.Path} is missing."); }
            else
            {
                using var stream = File.OpenRead(path);
                if (Convert.ToHexStringLower(Hash(stream, null, long.MaxValue, cancellation).Hash) != file.Sha256) { wrong.Add($"{file.Path} has changed: its SHA-256 is not {file.Sha256}."); }
            }
        }

        var known = files.Select(file => Path.Combine(folder, file.Path)).ToHashSet(StringComparer.Ordinal);
        wrong.AddRange(Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(path => !known.Contains(path)).Select(path => $"{Path.GetRelativePath(folder, path)} was not imported."));
        return wrong;
    }

    /// <summary>Moves the copy to where it stays. Where those files are already they stay, unless they are not what they were: importing again mends a model.</summary>
    private void Place(string staged, string folder, List<ModelFile> files, CancellationToken cancellation)
    {
        if (Directory.Exists(folder))
        {
            if (Faults(folder, files, cancellation).Count == 0) { return; }

            // Whoever has the old files mapped keeps them until he closes them.
            var leaving = Path.Combine(root, $"{Leaving}{Guid.CreateVersion7():n}");
            Directory.Move(folder, leaving);
            Directory.Move(staged, folder);
            Directory.Delete(leaving, recursive: true);
            return;
        }

        Directory.Move(staged, folder);
    }

    /// <summary>SHA-256 of one line a file, "hash  path", as sha256sum prints them.</summary>
    private static string HashOf(IEnumerable<ModelFile> sorted) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(sorted.Select(file => $"{file.Sha256}  {file.Path}\n")))));

    private static void Try(string folder, CancellationToken cancellation)
    {
        using var model = EmbeddingModel.Load(folder);
        var vector = model.Embed(["A text to try the model with."], EmbeddingPurpose.Document, cancellation).Single();
        if (!vector.All(float.IsFinite)) { throw new UnusableModelException(Weights, "gives vectors that are no numbers."); }
    }

    private static void CopyDirectory(string source, string target, List<ModelFile> files, List<string> leftOut, CancellationToken cancellation)
    {
        var count = 0;
        foreach (var entry in new DirectoryInfo(source).EnumerateFileSystemInfos("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None, IgnoreInaccessible = false, MaxRecursionDepth = 2 }))
        {
            if (++count > MaxEntries) { throw TooMany(source); }

            var path = Path.GetRelativePath(source, entry.FullName);
            if (!IsNeeded(path))
            {
                if (entry is FileInfo || path.Contains('/', StringComparison.Ordinal)) { leftOut.Add(path); }
                continue;
            }

            if (entry is not FileInfo file) { continue; }
            if (file.LinkTarget is not null || file.Directory is { LinkTarget: not null } && path.Contains('/', StringComparison.Ordinal)) { throw new ModelStoreException($"{path} is a symbolic link, or in a folder that is one. Links are not followed: copy the directory with `cp -rL` and import the copy."); }

            // A pipe or a device has no length either, and reading it might never end.
            if (file.Length == 0) { throw new ModelStoreException($"{path} is empty, or no file. Is the download complete?"); }

            using var stream = new FileStream(file.FullName, FileMode.Open, FileAccess.Read, FileShare.Read);
            Copy(stream, path, target, files, cancellation);
        }
    }

    private static void CopyZip(string source, string target, List<ModelFile> files, List<string> leftOut, CancellationToken cancellation)
    {
        using var zip = ZipFile.OpenRead(source);
        if (zip.Entries.Count > MaxEntries) { throw TooMany(source); }

        var entries = zip.Entries.Where(entry => !entry.FullName.EndsWith('/')).ToArray();
        foreach (var entry in entries)
        {
            if (entry.FullName.AsSpan().IndexOfAny('\\', '\0') >= 0 || entry.FullName.StartsWith('/') || entry.FullName.Split('/').Any(part => part is "" or "." or ".."))
            {
                throw new ModelStoreException($"The zip has an entry '{entry.FullName}' that leads outside of it: it is not taken.");
            }

            // The upper half is Unix's mode where a Unix made the zip; a link has its type 0xA.
            if ((entry.ExternalAttributes >>> 28) == 0xA) { throw new ModelStoreException($"The zip has a symbolic link '{entry.FullName}': links are not followed."); }
        }

        // A zip of a folder has the folder's name before each.
        var first = entries.FirstOrDefault()?.FullName.Split('/')[0] + "/";
        var within = entries.All(entry => entry.FullName.StartsWith(first, StringComparison.Ordinal)) ? first.Length : 0;
        foreach (var entry in entries)
        {
            var path = entry.FullName[within..];
            if (!IsNeeded(path))
            {
                leftOut.Add(path);
                continue;
            }

            using var stream = entry.Open();
            Copy(stream, path, target, files, cancellation);
        }
    }

    /// <summary>What is read of a model, and what its licence asks to keep: JSON files, the weights, README and LICENSE, in its folder or one folder of a module.</summary>
    private static bool IsNeeded(string path)
    {
        var parts = path.Split('/');
        return parts.Length <= 2 && parts.All(part => part.Length is > 0 and <= 128 && part[0] != '.') && (parts.Length == 1 || char.IsAsciiDigit(parts[0][0]))
            && (parts[^1] is Weights or "README.md" or "LICENSE" or "LICENSE.txt" or "LICENSE.md" || parts[^1].EndsWith(".json", StringComparison.Ordinal));
    }

    private static void Copy(Stream from, string path, string target, List<ModelFile> files, CancellationToken cancellation)
    {
        if (files.Count == ImportModelHandler.MaxFiles) { throw new ModelStoreException($"The source has more than {ImportModelHandler.MaxFiles} files of a model."); }

        var to = Path.GetFullPath(Path.Combine(target, path));
        if (!to.StartsWith(target + "/", StringComparison.Ordinal)) { throw new ModelStoreException($"'{path}' leads outside of the model's folder: it is not taken."); }

        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        if (File.Exists(to)) { throw new ModelStoreException($"The zip has '{path}' twice."); }

        var most = Path.GetFileName(path) == Weights ? EmbeddingLimits.WeightBytes : MaxSideFileBytes;
        using var copy = new FileStream(to, FileMode.CreateNew, FileAccess.Write, FileShare.None);
        var (size, hash) = Hash(from, copy, most, cancellation);
        if (size > most) { throw new ModelStoreException($"'{path}' has more than {most} bytes."); }

        files.Add(new ModelFile(path, size, Convert.ToHexStringLower(hash)));
    }

    /// <summary>Reads to the end, or just beyond <paramref name="most"/>: what a zip claims of its sizes is not believed.</summary>
    private static (long Size, byte[] Hash) Hash(Stream from, Stream? copy, long most, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1024 * 1024];
        var size = 0L;
        for (int read; size <= most && (read = from.Read(buffer)) > 0; size += read)
        {
            cancellation.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
            copy?.Write(buffer, 0, read);
        }

        return (size, hash.GetHashAndReset());
    }

    private static ModelStoreException TooMany(string source) => new($"{source} has more than {MaxEntries} entries. Is it a model's directory?");
}
