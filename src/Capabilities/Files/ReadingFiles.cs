using System.IO.Enumeration;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

internal sealed class ListFilesCapability(FileSpace space) : FileQuery(new CapabilityDescriptor(
    "files.list", "1", "Lists files and folders.", EffectClass.Pure, EffectKind.Register, true,
    FileSchemas.Object("\"path\"", FileSchemas.Path("path"), """ "recursive": { "type": "boolean" }, "pattern": { "type": "string", "maxLength": 255, "description": "Of names: * and ?" } """),
    FileSchemas.Result("path", "entries", "truncated", "refused")))
{
    /// <summary>More do not fit an event, nor a person's eye.</summary>
    public const int MaxEntries = 10_000;

    protected override EffectResult Look(CapabilityCall call, CancellationToken cancellation)
    {
        var arguments = FilesJson.Read(call.Arguments, FilesJson.Default.ListFiles);
        var place = FileSpace.Locate(arguments.Path, call.Grant, write: false);
        var image = space.See(place).Image;
        if (image.Kind == "absent") { throw new CapabilityException("not_found", $"{place.Path} does not exist."); }
        if (image.Kind != "folder") { throw new CapabilityException("invalid", $"{place.Path} is no folder."); }

        var found = new List<FileEntry>();
        var refused = new List<string>();
        var truncated = false;
        var folders = new Stack<Place>([place]);
        while (!truncated && folders.TryPop(out var folder))
        {
            cancellation.ThrowIfCancellationRequested();
            using var handle = space.OpenFolder(folder);
            Linux.Entries(handle, folder.Path, (_, raw) =>
            {
                if (found.Count + refused.Count >= MaxEntries) { return !(truncated = true); }
                if (FileNames.Plain(raw) is not { } name)
                {
                    refused.Add($"{folder.Path}/{FileNames.Escape(raw)}");
                    return true;
                }

                var below = new Place($"{(folder.Path == "/" ? "" : folder.Path)}/{name}", folder.Start, [.. folder.Below, name]);
                if (Linux.Status(handle, name, below.Path) is not { } status) { return true; }
                if (arguments.Recursive && status.IsFolder && below.Below.Length < FileSpace.MaxDepth) { folders.Push(below); }
                if (arguments.Pattern is { } pattern && !FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false)) { return true; }
                found.Add(new FileEntry(
                    below.Path, name, Path.GetExtension(name).ToLowerInvariant(), status.Kind, status.IsFile ? status.SizeBytes : 0,
                    Modified.Text(status.ModifiedSeconds, status.ModifiedNanoseconds)));
                return true;
            });
        }

        found.Sort((one, other) => string.CompareOrdinal(one.Path, other.Path));
        var result = JsonSerializer.SerializeToElement(new FilesListed(place.Path, found, truncated, refused), FilesJson.Default.FilesListed);
        var seen = new Image("folder", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', found.Select(e => $"{e.Kind} {e.Path}"))))));
        return new EffectResult(result, [new Touch(FileSpace.Resource(place.Path), Access.Read, seen)]);
    }
}

internal sealed class ReadFileCapability(FileSpace space) : FileQuery(new CapabilityDescriptor(
    "files.read", "1", "Reads a file as text, and says what it is.", EffectClass.Pure, EffectKind.Register, true,
    FileSchemas.Object("\"path\"", FileSchemas.Path("path"), """ "max_bytes": { "type": "integer", "minimum": 1, "maximum": 1048576 } """),
    FileSchemas.Result("path", "name", "text", "encoding", "size_bytes", "truncated", "binary", "sha256")))
{
    /// <summary>What of a file becomes text in an event: a long book.</summary>
    public const int MaxTextBytes = 1 << 20;

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    protected override EffectResult Look(CapabilityCall call, CancellationToken cancellation)
    {
        var arguments = FilesJson.Read(call.Arguments, FilesJson.Default.ReadFile);
        var place = FileSpace.Locate(arguments.Path, call.Grant, write: false);
        var seen = space.See(place, content: true);
        if (seen.Image.Kind == "absent") { throw new CapabilityException("not_found", $"{place.Path} does not exist."); }
        if (seen.Image.Kind == "folder") { throw new CapabilityException("invalid", $"{place.Path} is a folder."); }

        var limit = Math.Clamp(arguments.MaxBytes ?? MaxTextBytes, 1, MaxTextBytes);
        var (text, encoding) = Decode(seen.Content, limit);
        var result = new FileRead(
            place.Path, Path.GetFileName(place.Path), text, encoding, seen.Content!.Length, seen.Content.Length > limit, encoding == "binary", seen.Image.Hash!);
        return new EffectResult(
            JsonSerializer.SerializeToElement(result, FilesJson.Default.FileRead), [new Touch(FileSpace.Resource(place.Path), Access.Read, seen.Image)]);
    }

    internal static (string Text, string Encoding) Decode(ReadOnlySpan<byte> content, int limit)
    {
        var cut = content.Length > limit;
        var head = cut ? content[..limit] : content;
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) { return (Encoding.Unicode.GetString(head[2..(head.Length & ~1)]), "utf-16le"); }
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF])) { return (Encoding.BigEndianUnicode.GetString(head[2..(head.Length & ~1)]), "utf-16be"); }
        if (head.Contains((byte)0)) { return ("", "binary"); }

        var bom = head.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]);
        if (bom) { head = head[3..]; }
        for (var dropped = 0; dropped <= (cut ? 3 : 0) && dropped <= head.Length; dropped++)
        {
            // A cut may have gone through a character.
            try { return (Utf8.GetString(head[..^dropped]), bom ? "utf-8-bom" : "utf-8"); }
            catch (DecoderFallbackException) { }
        }

        return LooksLikeText(head) ? (Encoding.Latin1.GetString(head), "latin-1") : ("", "binary");
    }

    // Control characters other than tab, line ends, form feed and escape do not stand in text.
    private static bool LooksLikeText(ReadOnlySpan<byte> bytes)
    {
        foreach (var b in bytes)
        {
            if (b < 0x20 && b is not (0x09 or 0x0A or 0x0C or 0x0D or 0x1B)) { return false; }
        }

        return true;
    }
}
