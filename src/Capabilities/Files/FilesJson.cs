using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

public sealed record ListFiles(string Path, bool Recursive = false, string? Pattern = null);

/// <param name="Path">Absolute.</param>
/// <param name="Kind"><c>file</c>, <c>folder</c>, <c>link</c> (not followed) or <c>other</c>.</param>
/// <param name="Extension">Lower case, with its dot; empty where there is none.</param>
public sealed record FileEntry(string Path, string Name, string Extension, string Kind, long SizeBytes, string Modified);

/// <param name="Truncated">There are more than the limit.</param>
/// <param name="Refused">Names, escaped, that hold control characters or are no valid UTF-8: nothing can be done with them here.</param>
public sealed record FilesListed(string Path, IReadOnlyList<FileEntry> Entries, bool Truncated, IReadOnlyList<string> Refused);

public sealed record ReadFile(string Path, int? MaxBytes = null);

/// <param name="Encoding"><c>utf-8</c>, <c>utf-8-bom</c>, <c>utf-16le</c>, <c>utf-16be</c>, <c>latin-1</c> (a guess: the bytes are no UTF-8), or <c>binary</c>.</param>
/// <param name="Truncated">The text is only the beginning; size and hash are the whole file's.</param>
public sealed record FileRead(string Path, string Name, string Text, string Encoding, long SizeBytes, bool Truncated, bool Binary, string Sha256);

public sealed record WriteFile(string Path, string? Text = null, string? Base64 = null, bool Overwrite = false);

public sealed record FileWritten(string Path, long SizeBytes, string Sha256, bool Overwritten);

public sealed record AppendFile(string Path, string Text);

public sealed record FileAppended(string Path, long SizeBytes, string Sha256);

public sealed record MoveFile(string From, string To, bool Overwrite = false);

public sealed record FileMoved(string From, string To, string Sha256);

public sealed record DeleteFile(string Path);

public sealed record FileDeleted(string Path, string Sha256);

public sealed record MakeFolder(string Path);

/// <param name="Created">False where it was there already.</param>
public sealed record FolderMade(string Path, bool Created);

public sealed record RestoreFiles(IReadOnlyList<FileStep> Steps);

/// <param name="Kept">Folders made in passing that stay, since somebody has put something into them.</param>
public sealed record FilesRestored(int Steps, IReadOnlyList<string> Kept);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ListFiles))]
[JsonSerializable(typeof(FilesListed))]
[JsonSerializable(typeof(ReadFile))]
[JsonSerializable(typeof(FileRead))]
[JsonSerializable(typeof(WriteFile))]
[JsonSerializable(typeof(FileWritten))]
[JsonSerializable(typeof(AppendFile))]
[JsonSerializable(typeof(FileAppended))]
[JsonSerializable(typeof(MoveFile))]
[JsonSerializable(typeof(FileMoved))]
[JsonSerializable(typeof(DeleteFile))]
[JsonSerializable(typeof(FileDeleted))]
[JsonSerializable(typeof(MakeFolder))]
[JsonSerializable(typeof(FolderMade))]
[JsonSerializable(typeof(RestoreFiles))]
[JsonSerializable(typeof(FilesRestored))]
internal sealed partial class FilesJson : JsonSerializerContext
{
    /// <exception cref="CapabilityException">Arguments of another shape.</exception>
    public static T Read<T>(JsonElement arguments, JsonTypeInfo<T> json)
    {
        try { return arguments.Deserialize(json) ?? throw new CapabilityException("invalid", "Arguments are missing."); }
        catch (JsonException failure) { throw new CapabilityException("invalid", failure.Message, failure); }
    }
}
