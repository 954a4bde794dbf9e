using System.Text;
using System.Text.Json;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Files;

internal sealed class WriteFileCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.write", "1", "Writes a file as a whole; missing folders are made.", EffectClass.Reversible, EffectKind.Register, true,
    FileSchemas.Object("\"path\"", FileSchemas.Path("path"), """ "text": { "type": "string" }, "base64": { "type": "string" }, "overwrite": { "type": "boolean" } """),
    FileSchemas.Result("path", "size_bytes", "sha256", "overwritten")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var arguments = FilesJson.Read(call.Arguments, FilesJson.Default.WriteFile);
        var place = FileSpace.Locate(arguments.Path, call.Grant, write: true);
        var content = Content(arguments);
        var before = SeeFile(place, content: true).Image;
        if (before.Kind == "file" && !arguments.Overwrite) { throw new CapabilityException("conflict", $"{place.Path} exists already; say 'overwrite: true' to replace it."); }
        return [.. Parents(place), new Touch(FileSpace.Resource(place.Path), before.Kind == "absent" ? Access.Create : Access.Write, before, Put(content, place.Path, before))];
    }

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept)
    {
        var touch = plan.Touches[^1];
        var result = new FileWritten(FileSpace.PathOf(touch.Resource), touch.After!.SizeBytes!.Value, touch.After.Hash!, touch.Before.Kind == "file");
        return JsonSerializer.SerializeToElement(result, FilesJson.Default.FileWritten);
    }

    private static byte[] Content(WriteFile arguments)
    {
        if (arguments.Text is null == arguments.Base64 is null) { throw new CapabilityException("invalid", "Give either 'text' or 'base64'."); }
        if (arguments.Text is { } text) { return Encoding.UTF8.GetBytes(text); }
        try { return Convert.FromBase64String(arguments.Base64!); }
        catch (FormatException failure) { throw new CapabilityException("invalid", "'base64' is no base64.", failure); }
    }
}

internal sealed class AppendFileCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.append", "1", "Adds text to the end of a file, which is made where it is missing.", EffectClass.Reversible, EffectKind.Register, false,
    FileSchemas.Object("\"path\", \"text\"", FileSchemas.Path("path"), """ "text": { "type": "string" } """),
    FileSchemas.Result("path", "size_bytes", "sha256")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var arguments = FilesJson.Read(call.Arguments, FilesJson.Default.AppendFile);
        var place = FileSpace.Locate(arguments.Path, call.Grant, write: true);
        var seen = SeeFile(place, content: true);
        var resource = FileSpace.Resource(place.Path);
        var after = Put([.. seen.Content ?? [], .. Encoding.UTF8.GetBytes(arguments.Text)], place.Path, seen.Image);
        return seen.Image.Kind == "absent"
            ? [.. Parents(place), new Touch(resource, Access.Create, seen.Image, after)]
            : [new Touch(resource, Access.Read, seen.Image), new Touch(resource, Access.Write, seen.Image, after)];
    }

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept)
    {
        var touch = plan.Touches[^1];
        var result = new FileAppended(FileSpace.PathOf(touch.Resource), touch.After!.SizeBytes!.Value, touch.After.Hash!);
        return JsonSerializer.SerializeToElement(result, FilesJson.Default.FileAppended);
    }
}

internal sealed class MoveFileCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.move", "1", "Moves a file; missing folders are made. A target that ends with / keeps the file's name.", EffectClass.Reversible, EffectKind.Register, false,
    FileSchemas.Object("\"from\", \"to\"", FileSchemas.Path("from") + "," + FileSchemas.Path("to"), """ "overwrite": { "type": "boolean" } """),
    FileSchemas.Result("from", "to", "sha256")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var arguments = FilesJson.Read(call.Arguments, FilesJson.Default.MoveFile);
        var from = FileSpace.Locate(arguments.From, call.Grant, write: true);
        var to = FileSpace.Locate(arguments.To.EndsWith('/') ? arguments.To + Path.GetFileName(from.Path) : arguments.To, call.Grant, write: true);
        if (from.Path == to.Path) { throw new CapabilityException("invalid", $"{from.Path} would be moved onto itself."); }
        var moved = SeeFile(from, content: false).Image;
        if (moved.Kind == "absent") { throw new CapabilityException("not_found", $"{from.Path} does not exist."); }
        var displaced = SeeFile(to, content: arguments.Overwrite).Image;
        if (displaced.Kind == "file" && !arguments.Overwrite) { throw new CapabilityException("conflict", $"{to.Path} exists already; say 'overwrite: true' to replace it."); }

        var (source, target) = (FileSpace.Resource(from.Path), FileSpace.Resource(to.Path));
        return
        [
            .. Parents(to),
            new Touch(source, Access.Read, moved),
            new Touch(source, Access.Delete, moved, Image.Absent),
            new Touch(target, displaced.Kind == "absent" ? Access.Create : Access.Write, displaced, moved),
        ];
    }

    protected override IReadOnlyList<FileStep> Forward(CapabilityCall call, IReadOnlyList<Touch> touches)
    {
        var (source, target) = (touches[^2], touches[^1]);
        var to = FileSpace.PathOf(target.Resource);
        return
        [
            .. touches.Where(t => t.After?.Kind == "folder").Select(t => new FileStep("make_folder", FileSpace.PathOf(t.Resource), Required: false)),
            .. target.Before.Kind == "file" ? [new FileStep("put", to, Expect: target.Before, Then: Image.Absent)] : Array.Empty<FileStep>(),
            new FileStep("move", FileSpace.PathOf(source.Resource), to, source.Before),
        ];
    }

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept)
    {
        var (source, target) = (plan.Touches[^2], plan.Touches[^1]);
        var result = new FileMoved(FileSpace.PathOf(source.Resource), FileSpace.PathOf(target.Resource), target.After!.Hash!);
        return JsonSerializer.SerializeToElement(result, FilesJson.Default.FileMoved);
    }
}

internal sealed class DeleteFileCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.delete", "1", "Deletes a file; its bytes are kept for an undo.", EffectClass.Reversible, EffectKind.Register, false,
    FileSchemas.Object("\"path\"", FileSchemas.Path("path"), ""),
    FileSchemas.Result("path", "sha256")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var place = FileSpace.Locate(FilesJson.Read(call.Arguments, FilesJson.Default.DeleteFile).Path, call.Grant, write: true);
        var before = SeeFile(place, content: true).Image;
        if (before.Kind == "absent") { throw new CapabilityException("not_found", $"{place.Path} does not exist."); }
        return [new Touch(FileSpace.Resource(place.Path), Access.Delete, before, Image.Absent)];
    }

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept) => JsonSerializer.SerializeToElement(
        new FileDeleted(FileSpace.PathOf(plan.Touches[0].Resource), plan.Touches[0].Before.Hash!), FilesJson.Default.FileDeleted);
}

internal sealed class MakeFolderCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.make_folder", "1", "Makes a folder and what is missing above it.", EffectClass.Reversible, EffectKind.CreatedObject, true,
    FileSchemas.Object("\"path\"", FileSchemas.Path("path"), ""),
    FileSchemas.Result("path", "created")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var place = Place(call);
        var before = Space.See(place).Image;
        if (before.Kind == "file") { throw new CapabilityException("conflict", $"{place.Path} exists already and is a file."); }
        var resource = FileSpace.Resource(place.Path);
        return before.Kind == "folder"
            ? [new Touch(resource, Access.Read, new Image("folder"))]
            : [.. Parents(place), new Touch(resource, Access.Create, Image.Absent, new Image("folder"))];
    }

    protected override IReadOnlyList<FileStep> Forward(CapabilityCall call, IReadOnlyList<Touch> touches) =>
        touches[^1].Access == Access.Read
            ? []
            : [.. touches.Select((t, i) => new FileStep("make_folder", FileSpace.PathOf(t.Resource), Required: i == touches.Count - 1))];

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept) => JsonSerializer.SerializeToElement(
        new FolderMade(FileSpace.PathOf(plan.Touches[^1].Resource), plan.Touches[^1].Access == Access.Create), FilesJson.Default.FolderMade);

    private static Place Place(CapabilityCall call) =>
        FileSpace.Locate(FilesJson.Read(call.Arguments, FilesJson.Default.MakeFolder).Path, call.Grant, write: true);
}

/// <summary>The inverse of the others, and of itself. It compares what stands with what the effect left, and refuses where somebody else wrote since.</summary>
internal sealed class RestoreFilesCapability(FileSpace space) : FileEffect(space, new CapabilityDescriptor(
    "files.restore", "1", "Puts files back as they were.", EffectClass.Reversible, EffectKind.Register, true,
    FileSchemas.Object("\"steps\"", """ "steps": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "type": "object", "required": ["do", "path"] } } """, ""),
    FileSchemas.Result("steps", "kept")))
{
    protected override IReadOnlyList<Touch> Touches(CapabilityCall call)
    {
        var touches = new List<Touch>();
        foreach (var step in StepsOf(call))
        {
            var resource = FileSpace.Resource(step.Path);
            switch (step.Do)
            {
                case "put":
                    var access = step.Expect?.Kind == "absent" ? Access.Create : step.Then?.Kind == "absent" ? Access.Delete : Access.Write;
                    touches.Add(new Touch(resource, access, step.Expect ?? Image.Absent, step.Then));
                    break;
                case "move":
                    touches.Add(new Touch(resource, Access.Delete, step.Expect ?? Image.Absent, Image.Absent));
                    touches.Add(new Touch(FileSpace.Resource(step.To ?? step.Path), Access.Create, Image.Absent, step.Expect));
                    break;
                case "make_folder":
                    touches.Add(new Touch(resource, Access.Create, Image.Absent, new Image("folder")));
                    break;
                default:
                    touches.Add(new Touch(resource, Access.Delete, new Image("folder"), Image.Absent));
                    break;
            }
        }

        return touches;
    }

    protected override IReadOnlyList<FileStep> Forward(CapabilityCall call, IReadOnlyList<Touch> touches) => StepsOf(call);

    protected override JsonElement ResultOf(CapabilityCall call, EffectPlan plan, IReadOnlyList<string> kept) =>
        JsonSerializer.SerializeToElement(new FilesRestored(StepsOf(call).Count, kept), FilesJson.Default.FilesRestored);

    private static IReadOnlyList<FileStep> StepsOf(CapabilityCall call) => FilesJson.Read(call.Arguments, FilesJson.Default.RestoreFiles).Steps;
}

internal static class FileSchemas
{
    public static string Path(string name) => $$""" "{{name}}": { "type": "string", "minLength": 1, "maxLength": 4096, "description": "Absolute" } """;

    public static JsonElement Object(string required, string path, string more) => JsonElement.Parse(
        $$"""{ "type": "object", "additionalProperties": false, "required": [{{required}}], "properties": { {{path}}{{(more.Length > 0 ? "," : "")}}{{more}} } }""");

    public static JsonElement Result(params string[] members) => JsonElement.Parse(
        $$"""{ "type": "object", "required": [{{string.Join(',', members.Select(m => $"\"{m}\""))}}] }""");
}
