using Platform.Messaging;

namespace Platform.Domain.Inference;

/// <param name="Path">Relative to the model's folder, with '/'.</param>
/// <param name="Sha256">Lower-case hexadecimal.</param>
public sealed record ModelFile(string Path, long SizeBytes, string Sha256);

/// <summary>Takes a model into the library. The host has copied its files to where they stay, hashed them there, and tried the model.</summary>
/// <param name="ContentHash">SHA-256 over the files' names and hashes, lower-case hexadecimal.</param>
/// <param name="Source">Where it came from, as the importer wrote it.</param>
public sealed record ImportModel(ModelLibraryId Library, string Name, string ContentHash, IReadOnlyList<ModelFile> Files, string Source, string RequestedBy);

/// <summary>A model is in the library from now on, with exactly these files.</summary>
public sealed record ModelImported(string Name, string ContentHash, IReadOnlyList<ModelFile> Files, string Source, string ImportedBy, DateTimeOffset ImportedAt);

public static class ImportModelHandler
{
    /// <summary>Of a name: it is a word on a command line and part of a vector's model id.</summary>
    public const int MaxNameLength = 64;

    /// <summary>More than any model has; its files are listed in the event.</summary>
    public const int MaxFiles = 100;

    /// <summary>Not a model's: by this name the comparison of words is asked for.</summary>
    public const string NameOfWords = "lexical-v1";

    public static Problem? Validate(ImportModel command, ModelLibrary? library)
    {
        if (RefuseName(command.Name) is { } wrong) { return wrong; }
        if (command.Files.Count is 0 or > MaxFiles) { return new Problem("model.files", $"The model has {command.Files.Count} files; 1 to {MaxFiles} are taken."); }

        return library?.Models.GetValueOrDefault(command.Name) is { } there && there.ContentHash != command.ContentHash
            ? new Problem("model.name-taken", $"There is a model '{command.Name}' with other files already. Give this one another name, or remove that one first.")
            : null;
    }

    public static (Events, OutgoingMessages) Handle(ImportModel command, ModelLibrary? library, DateTimeOffset now) =>
        library?.Models.ContainsKey(command.Name) == true
            ? ([], [])
            : ([new ModelImported(command.Name, command.ContentHash, command.Files, command.Source, command.RequestedBy, now)], []);

    /// <summary>Why a model cannot have this name; null: it can.</summary>
    public static Problem? RefuseName(string name) =>
        !IsName(name) ? new Problem("model.name", $"'{name}' is no name for a model: 1 to {MaxNameLength} of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit.")
        : name == NameOfWords ? new Problem("model.name", $"'{name}' is the comparison of words, which needs no model: give the model another name.")
        : null;

    private static bool IsName(string name) =>
        name.Length is > 0 and <= MaxNameLength && char.IsAsciiLetterOrDigit(name[0]) && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '.' or '_' or '-');
}
