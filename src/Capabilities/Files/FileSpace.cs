using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Platform.Capabilities.Blobs;
using Platform.Domain.Capabilities;
using Platform.Messaging.Durability;

namespace Platform.Capabilities.Files;

/// <summary>A path under a granted root.</summary>
/// <param name="Path">Absolute, normalised.</param>
/// <param name="Start">The folder that is opened by name: the granted root, or its parent where the root is a file.</param>
/// <param name="Below">Names from there on; empty for the root itself.</param>
internal sealed record Place(string Path, string Start, string[] Below);

/// <param name="Links">Hard links; more than one means that another name would keep other bytes after a replacement.</param>
/// <param name="Content">Where it was asked for.</param>
internal sealed record Seen(Image Image, uint Links, byte[]? Content);

/// <summary>
/// Files under granted roots. The root is opened by its name, since a person granted it; from there on every name is opened relative to an open
/// folder, links are refused at any component, and <c>..</c> never reaches the kernel. Names are bytes: neither case nor Unicode form is folded.
/// </summary>
/// <param name="useOpenAt2">False takes the way for kernels without openat2.</param>
/// <param name="after">Told after each durable step, so that a test can end the process there.</param>
internal sealed class FileSpace(ContentStore store, bool useOpenAt2 = true, Action<string>? after = null)
{
    /// <summary>Deeper trees come from an attack or a loop of mounts.</summary>
    public const int MaxDepth = 64;

    /// <summary>Linux's PATH_MAX.</summary>
    public const int MaxPathBytes = 4_096;

    /// <summary>Linux's NAME_MAX.</summary>
    public const int MaxNameBytes = 255;

    /// <summary>A file is hashed to be moved; above this it would take minutes.</summary>
    public const long MaxHashedBytes = 4L << 30;

    // Renames of folders beside us make openat2 answer EAGAIN; that many in a row is an attack.
    private const int MaxOpenAttempts = 64;

    private volatile bool openAt2 = useOpenAt2;

    public ContentStore Store { get; } = store;

    public static string Resource(string path) => "file://" + string.Join('/', path.Split('/').Select(Uri.EscapeDataString));

    public static string PathOf(string resource) => Uri.UnescapeDataString(resource["file://".Length..]);

    public static Place Locate(string path, Grant grant, bool write)
    {
        var names = Names(path);
        var wanted = "/" + string.Join('/', names);
        string? root = null;
        foreach (var granted in write ? grant.FilesWrite : grant.FilesRead.Concat(grant.FilesWrite))
        {
            var candidate = "/" + string.Join('/', Names(granted));
            var covers = wanted == candidate || candidate == "/" || wanted.StartsWith(candidate + "/", StringComparison.Ordinal);
            if (covers && (root is null || candidate.Length > root.Length)) { root = candidate; }
        }

        if (root is null) { throw new CapabilityException("denied", $"{wanted} is outside the folders granted for {(write ? "writing" : "reading")}."); }
        if (wanted != root) { return new Place(wanted, root, names[(root == "/" ? 0 : root.Count('/'))..]); }

        // A grant may name one file, which need not exist yet.
        using var folder = Linux.Open(root, Linux.PathOnly | Linux.Folder | Linux.CloseOnExec, 0);
        return folder.IsInvalid && Marshal.GetLastPInvokeError() is Linux.ENOTDIR or Linux.ENOENT && names.Length > 0
            ? new Place(wanted, "/" + string.Join('/', names[..^1]), [names[^1]])
            : new Place(wanted, root, []);
    }

    /// <summary>What stands at a place. Devices, pipes, sockets and links are refused.</summary>
    public Seen See(Place place, bool content = false)
    {
        if (place.Below.Length == 0)
        {
            using var root = OpenFolder(place, 0) ?? throw Linux.Failure(place.Start, Linux.ENOENT);
            return new Seen(ImageOf(Linux.Status(root, "", place.Path)!.Value, null), 1, null);
        }

        using var parent = OpenFolder(place, place.Below.Length - 1);
        return parent is null ? new Seen(Image.Absent, 0, null) : See(parent, place.Below[^1], place.Path, content);
    }

    /// <summary>Folders that are missing above a place, outermost first.</summary>
    public IReadOnlyList<string> MissingParents(Place place)
    {
        var missing = new List<string>();
        for (var depth = place.Below.Length - 1; depth > 0; depth--)
        {
            using var folder = OpenFolder(place, depth);
            if (folder is not null) { break; }
            missing.Insert(0, string.Concat(place.Start == "/" ? "" : place.Start, "/", string.Join('/', place.Below[..depth])));
        }

        return missing;
    }

    /// <returns>False where a folder stood there already.</returns>
    public bool MakeFolder(Place place)
    {
        using var parent = Parent(place);
        var name = place.Below[^1];
        if (Linux.MakeFolder(parent, name, 0x1FF) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == Linux.EEXIST && Linux.Status(parent, name, place.Path) is { IsFolder: true }) { return false; }
            throw Linux.Failure(place.Path, error);
        }

        Flush(parent, place.Path);
        after?.Invoke("made folder");
        return true;
    }

    /// <returns>False where it is not empty, or not there.</returns>
    public bool RemoveFolder(Place place)
    {
        if (place.Below.Length == 0) { throw new CapabilityException("denied", $"{place.Path} is a granted folder itself."); }
        using var parent = OpenFolder(place, place.Below.Length - 1);
        if (parent is null) { return false; }
        if (Linux.Unlink(parent, place.Below[^1], Linux.RemoveFolder) != 0)
        {
            return Marshal.GetLastPInvokeError() is Linux.ENOTEMPTY or Linux.ENOENT or Linux.EEXIST or Linux.ENOTDIR ? false : throw Linux.Failure(place.Path);
        }

        Flush(parent, place.Path);
        after?.Invoke("removed folder");
        return true;
    }

    /// <summary>Moves without replacing; content, mode and times stay as they are.</summary>
    public void Move(Place from, Place to, Image expect)
    {
        using var source = Parent(from);
        using var target = Parent(to);
        Check(source, from, expect, replaces: false);
        if (Linux.Rename(source, from.Below[^1], target, to.Below[^1], Linux.NoReplace) != 0)
        {
            throw Linux.Failure(Marshal.GetLastPInvokeError() is Linux.EEXIST or Linux.EXDEV ? to.Path : from.Path);
        }

        after?.Invoke("renamed");
        Flush(target, to.Path);
        Flush(source, from.Path);
        after?.Invoke("moved");
    }

    /// <summary>Brings a file from one image to another: made, replaced as a whole, or removed.</summary>
    /// <param name="key">Names the temporary file, so that a second attempt finds what a crash left.</param>
    public void Put(Place place, Image expect, Image then, string key)
    {
        using var parent = Parent(place);
        var name = place.Below[^1];
        Check(parent, place, expect, replaces: true);
        if (then.Kind == "absent")
        {
            if (Linux.Unlink(parent, name, 0) != 0) { throw Linux.Failure(place.Path); }
            Flush(parent, place.Path);
            after?.Invoke("removed");
            return;
        }

        var content = Store.Read(then.Hash!);
        var temporary = Temporary(place, key);
        if (Linux.Unlink(parent, temporary, 0) != 0 && Marshal.GetLastPInvokeError() != Linux.ENOENT) { throw Linux.Failure(place.Path); }
        try
        {
            using (var file = Linux.OpenAt(parent, temporary, Linux.WriteOnly | Linux.Create | Linux.Exclusive | Linux.NoFollow | Linux.CloseOnExec, 0x1B6))
            {
                if (file.IsInvalid) { throw Linux.Failure(place.Path); }
                Write(file, content, then, place.Path);
            }

            after?.Invoke("temporary written");
            Check(parent, place, expect, replaces: true);
            if (Linux.Rename(parent, temporary, parent, name, expect.Kind == "absent" ? Linux.NoReplace : 0) != 0) { throw Linux.Failure(place.Path); }
        }
        catch (CapabilityException)
        {
            _ = Linux.Unlink(parent, temporary, 0);
            throw;
        }

        after?.Invoke("renamed");
        Flush(parent, place.Path);
        after?.Invoke("put");
    }

    /// <summary>Removes what an interrupted <see cref="Put"/> left beside its target.</summary>
    public void Sweep(Place place, string key)
    {
        if (place.Below.Length == 0) { return; }
        using var parent = OpenFolder(place, place.Below.Length - 1);
        if (parent is not null) { _ = Linux.Unlink(parent, Temporary(place, key), 0); }
    }

    public bool IsEmpty(Place place)
    {
        using var folder = OpenFolder(place);
        var empty = true;
        Linux.Entries(folder, place.Path, (_, _) => empty = false);
        return empty;
    }

    /// <summary>Opens a folder for reading its entries.</summary>
    public SafeFileHandle OpenFolder(Place place) => OpenFolder(place, place.Below.Length) ?? throw Linux.Failure(place.Path, Linux.ENOENT);

    public static Image ImageOf(FileStatus status, string? hash) => new(
        status.Kind,
        hash,
        status.IsFile ? status.SizeBytes : null,
        new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["mode"] = "0" + Convert.ToString(status.Mode, 8).PadLeft(3, '0'),
            ["modified"] = Modified.Text(status.ModifiedSeconds, status.ModifiedNanoseconds),
            ["owner"] = string.Create(CultureInfo.InvariantCulture, $"{status.User}:{status.Group}"),
        });

    /// <summary>Whether two images are the same to an undo: kind, bytes, and the mode where both tell it. A touched time alone is no change.</summary>
    public static bool Same(Image one, Image other) =>
        one.Kind == other.Kind && one.Hash == other.Hash
        && (one.Kind != "file" || Attribute(one, "mode") is not { } mode || Attribute(other, "mode") is not { } otherMode || mode == otherMode);

    public static string? Attribute(Image image, string name) => image.Attributes?.GetValueOrDefault(name);

    private static string Temporary(Place place, string key) =>
        $".{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key + "\0" + place.Path)))[..24]}.platform";

    private static string[] Names(string path)
    {
        if (path.Length == 0 || path[0] != '/') { throw new CapabilityException("invalid", $"'{path}' is not an absolute path."); }
        if (Encoding.UTF8.GetByteCount(path) > MaxPathBytes) { throw new CapabilityException("invalid", $"A path of more than {MaxPathBytes} bytes."); }
        var names = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (names.Length > MaxDepth) { throw new CapabilityException("invalid", $"'{path}' is deeper than {MaxDepth} folders."); }
        foreach (var name in names)
        {
            if (name is "." or "..") { throw new CapabilityException("denied", $"'{path}' holds '{name}'; write the path out."); }
            if (Encoding.UTF8.GetByteCount(name) > MaxNameBytes) { throw new CapabilityException("invalid", $"A name of more than {MaxNameBytes} bytes in '{path[..64]}...'."); }
            if (!IsPlain(name)) { throw new CapabilityException("invalid", $"'{FileNames.Escape(Encoding.UTF8.GetBytes(name))}' holds control characters or is no valid Unicode."); }
        }

        return names;
    }

    private static bool IsPlain(string name)
    {
        for (var i = 0; i < name.Length; i++)
        {
            if (char.IsControl(name[i])) { return false; }
            if (!char.IsSurrogate(name[i])) { continue; }
            if (!char.IsHighSurrogate(name[i]) || i + 1 == name.Length || !char.IsLowSurrogate(name[i + 1])) { return false; }
            i++;
        }

        return true;
    }

    private static void Flush(SafeFileHandle handle, string path)
    {
        try { DurableFile.Flush(handle, path); }
        catch (IOException failure) { throw new CapabilityException("io", failure.Message, failure); }
    }

    private SafeFileHandle Parent(Place place)
    {
        if (place.Below.Length == 0) { throw new CapabilityException("denied", $"{place.Path} is a granted folder itself."); }
        return OpenFolder(place, place.Below.Length - 1) ?? throw Linux.Failure(place.Path, Linux.ENOENT);
    }

    private void Check(SafeFileHandle parent, Place place, Image expect, bool replaces)
    {
        var seen = See(parent, place.Below[^1], place.Path, content: false);
        if (!Same(seen.Image, expect)) { throw new CapabilityException("conflict", $"{place.Path} was changed by somebody else meanwhile."); }
        if (replaces && seen.Links > 1) { throw HardLinked(place.Path); }
    }

    /// <summary>A file of several names is refused: a replacement would part them, and an undo could not join them again.</summary>
    public static CapabilityException HardLinked(string path) =>
        new("denied", $"{path} has other names (hard links) that would keep other bytes; copy it to a name of its own first.");

    private Seen See(SafeFileHandle parent, string name, string path, bool content)
    {
        if (Linux.Status(parent, name, path) is not { } status) { return new Seen(Image.Absent, 0, null); }
        if (status.IsFolder) { return new Seen(ImageOf(status, null), 1, null); }
        if (status.IsLink) { throw Linux.Failure(path, Linux.ELOOP); }
        if (!status.IsFile) { throw NotRegular(path); }
        if (content && status.SizeBytes > Store.MaxBytes) { throw TooLarge(path, status.SizeBytes, Store.MaxBytes); }
        if (status.SizeBytes > MaxHashedBytes) { throw TooLarge(path, status.SizeBytes, MaxHashedBytes); }

        // NonBlocking: a pipe put in its place since would hold us for ever.
        using var file = Linux.OpenAt(parent, name, Linux.ReadOnly | Linux.NoFollow | Linux.NonBlocking | Linux.CloseOnExec, 0);
        if (file.IsInvalid)
        {
            return Marshal.GetLastPInvokeError() == Linux.ENOENT ? new Seen(Image.Absent, 0, null) : throw Linux.Failure(path);
        }

        status = Linux.Status(file, "", path)!.Value;
        if (!status.IsFile) { throw NotRegular(path); }
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(status.SizeBytes + 1, 4 * 1024, 128 * 1024));
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            using var kept = content ? new MemoryStream() : null;
            long at = 0;
            for (int read; (read = RandomAccess.Read(file, buffer, at)) > 0; at += read)
            {
                hash.AppendData(buffer, 0, read);
                kept?.Write(buffer, 0, read);
                if (at + read > (content ? Store.MaxBytes : MaxHashedBytes)) { throw TooLarge(path, at + read, content ? Store.MaxBytes : MaxHashedBytes); }
            }

            return new Seen(ImageOf(status, Convert.ToHexStringLower(hash.GetHashAndReset())) with { SizeBytes = at }, status.Links, kept?.ToArray());
        }
        catch (IOException failure)
        {
            throw new CapabilityException("io", $"{path}: {failure.Message}", failure);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static CapabilityException NotRegular(string path) => new("denied", $"{path} is a device, a pipe or a socket; only files and folders are touched.");

    private static CapabilityException TooLarge(string path, long size, long limit) =>
        new("too_large", string.Create(CultureInfo.InvariantCulture, $"{path} has {size} bytes; the limit is {limit}."));

    private static unsafe void Write(SafeFileHandle file, byte[] content, Image then, string path)
    {
        try { RandomAccess.Write(file, content, 0); }
        catch (IOException failure) { throw new CapabilityException("io", $"{path}: {failure.Message}", failure); }

        if (Attribute(then, "owner") is { } owner)
        {
            var status = Linux.Status(file, "", path)!.Value;
            var parts = owner.Split(':');
            var (user, group) = (uint.Parse(parts[0], CultureInfo.InvariantCulture), uint.Parse(parts[1], CultureInfo.InvariantCulture));
            if ((status.User, status.Group) != (user, group) && Linux.ChangeOwner(file, user, group) != 0) { throw Linux.Failure($"{path} (owner {owner})"); }
        }

        if (Attribute(then, "mode") is { } mode && Linux.ChangeMode(file, Convert.ToUInt32(mode, 8)) != 0) { throw Linux.Failure(path); }
        if (Attribute(then, "modified") is { } modified)
        {
            var time = Modified.Parse(modified);
            var times = stackalloc Linux.TimeSpec[2] { time, time };
            if (Linux.ChangeTimes(file, times) != 0) { throw Linux.Failure(path); }
        }

        Flush(file, path);
    }

    /// <returns>Null where one of the folders is missing.</returns>
    private SafeFileHandle? OpenFolder(Place place, int depth)
    {
        var root = Linux.Open(place.Start, Linux.ReadOnly | Linux.Folder | Linux.CloseOnExec, 0);
        if (root.IsInvalid) { throw Linux.Failure(place.Start); }
        if (depth == 0) { return root; }
        using (root)
        {
            return openAt2 && TryOpenAt2(root, place, depth, out var folder) ? folder : Walk(root, place, depth);
        }
    }

    private bool TryOpenAt2(SafeFileHandle root, Place place, int depth, out SafeFileHandle? folder)
    {
        var path = string.Join('/', place.Below[..depth]);
        for (var attempt = 0; ; attempt++)
        {
            folder = Linux.OpenBeneath(root, path, Linux.ReadOnly | Linux.Folder);
            if (!folder.IsInvalid) { return true; }
            folder = null;
            switch (Marshal.GetLastPInvokeError())
            {
                case Linux.ENOENT:
                    return true;
                case Linux.EAGAIN when attempt < MaxOpenAttempts:
                    break;
                case Linux.ENOSYS or Linux.EPERM:
                    // An old kernel, or a container whose seccomp profile does not know the call.
                    openAt2 = false;
                    return false;
                default:
                    throw Linux.Failure(place.Path);
            }
        }
    }

    private static SafeFileHandle? Walk(SafeFileHandle root, Place place, int depth)
    {
        var folder = root;
        for (var i = 0; i < depth; i++)
        {
            var next = Linux.OpenAt(folder, place.Below[i], Linux.ReadOnly | Linux.Folder | Linux.NoFollow | Linux.CloseOnExec, 0);
            var error = Marshal.GetLastPInvokeError();
            if (i > 0) { folder.Dispose(); }
            if (next.IsInvalid) { return error == Linux.ENOENT ? null : throw Linux.Failure(place.Path, error); }
            folder = next;
        }

        return folder;
    }
}

/// <summary>A file's time as text: RFC 3339 with nanoseconds; <c>@seconds.nanoseconds</c> outside the years 1 to 9999.</summary>
internal static class Modified
{
    private const long FirstSecond = -62_135_596_800;
    private const long LastSecond = 253_402_300_799;

    public static string Text(long seconds, uint nanoseconds) => seconds is >= FirstSecond and <= LastSecond
        ? string.Create(CultureInfo.InvariantCulture, $"{DateTimeOffset.FromUnixTimeSeconds(seconds):yyyy-MM-dd'T'HH:mm:ss}.{nanoseconds:D9}Z")
        : string.Create(CultureInfo.InvariantCulture, $"@{seconds}.{nanoseconds:D9}");

    public static Linux.TimeSpec Parse(string text)
    {
        if (text[0] == '@')
        {
            var dot = text.IndexOf('.', StringComparison.Ordinal);
            return new((nint)long.Parse(text.AsSpan(1, dot - 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture), int.Parse(text.AsSpan(dot + 1), CultureInfo.InvariantCulture));
        }

        var whole = DateTimeOffset.ParseExact(text.AsSpan(0, 19), "yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        return new((nint)whole.ToUnixTimeSeconds(), int.Parse(text.AsSpan(20, 9), CultureInfo.InvariantCulture));
    }
}

internal static class FileNames
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>A name that can be shown and given back; null for one with control characters or invalid UTF-8.</summary>
    public static string? Plain(byte[] name)
    {
        try
        {
            var text = Strict.GetString(name);
            return text.Any(char.IsControl) ? null : text;
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>For eyes only: every byte outside printable ASCII as <c>\xNN</c>.</summary>
    public static string Escape(byte[] name) => string.Concat(name.Select(b => b is >= 0x20 and < 0x7F and not (byte)'\\' ? ((char)b).ToString() : $"\\x{b:x2}"));
}
