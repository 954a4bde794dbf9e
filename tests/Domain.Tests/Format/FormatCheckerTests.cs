using System.Globalization;
using System.Text.Json;
using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

/// <summary>An installation as the tests need it: the file capabilities' shapes, and some that do not exist yet.</summary>
internal static class Installation
{
    public static readonly CheckContext Here = new(
        [
            Capability("files.list", EffectClass.Pure, """{"path": {"type": "string"}, "recursive": {"type": "boolean"}}""", "path", """{"entries": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "path": {"type": "string"}, "kind": {"type": "string"}, "size_bytes": {"type": "integer"}, "modified": {"type": "string"}}, "additionalProperties": false}}}"""),
            Capability("files.read", EffectClass.Pure, """{"path": {"type": "string"}}""", "path", """{"text": {"type": "string"}, "encoding": {"type": "string"}, "size_bytes": {"type": "integer"}, "truncated": {"type": "boolean"}, "binary": {"type": "boolean"}}"""),
            Capability("files.write", EffectClass.Reversible, """{"path": {"type": "string"}, "text": {"type": "string"}, "overwrite": {"type": "boolean"}}""", "path", "{}"),
            Capability("files.move", EffectClass.Reversible, """{"from": {"type": "string"}, "to": {"type": "string"}}""", "from, to", "{}"),
            Capability("files.make_folder", EffectClass.Reversible, """{"path": {"type": "string"}}""", "path", "{}"),
            Capability("http.get", EffectClass.Pure, """{"url": {"type": "string"}, "headers": {"type": "object"}, "query": {"type": "object"}, "expect": {"type": "array"}}""", "url", """{"status": {"type": "integer"}, "text": {"type": "string"}}"""),
            Capability("http.post", EffectClass.Compensable, """{"url": {"type": "string"}}""", "url", "{}", idempotent: false),
            Capability("mail.reply", EffectClass.Irreversible, """{"text": {"type": "string"}}""", "text", "{}"),
        ],
        ["local"]);

    private static CapabilityDescriptor Capability(string name, EffectClass effect, string arguments, string required, string result, bool idempotent = true) =>
        new(name, "1", name, effect, EffectKind.Register, idempotent, Shape(arguments, required), Shape(result, ""));

    private static JsonElement Shape(string properties, string required) => JsonElement.Parse(
        $$"""{"type": "object", "properties": {{properties}}, "required": [{{string.Join(", ", required.Split(", ", StringSplitOptions.RemoveEmptyEntries).Select(key => $"\"{key}\""))}}], "additionalProperties": false}""");
}

public class A_daemon_is_checked
{
    /// <summary>Files that begin with <c># expect: LINE:COLUMN SEVERITY CODE: MESSAGE</c> lines; none: nothing is found.</summary>
    public static TheoryData<string> Files => [.. Cases.Named("check", "*.yaml")];

    private static string[] Found(string yaml) => [.. DaemonChecker.Check(DaemonParser.Parse(yaml), Installation.Here).Select(diagnostic => diagnostic.ToString())];

    [Theory]
    [MemberData(nameof(Files))]
    public void as_each_file_says(string file)
    {
        const string Mark = "# expect: ";
        var yaml = Cases.Read(file);
        var expected = yaml.Split('\n').TakeWhile(line => line.StartsWith(Mark, StringComparison.Ordinal)).Select(line => line[Mark.Length..]);
        Assert.Equal(expected, Found(yaml));
    }

    [Fact]
    public void and_every_rule_has_a_bad_and_a_good_example()
    {
        var files = Cases.Named("check", "*.yaml").Select(Path.GetFileName).ToArray();
        foreach (var rule in Enumerable.Range(101, 21).Select(number => number.ToString("'DMN'000", CultureInfo.InvariantCulture)))
        {
            Assert.Contains(files, file => file!.StartsWith(rule + ".bad", StringComparison.Ordinal));
            Assert.Contains(files, file => file!.StartsWith(rule + ".good", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void and_the_first_design_example_is_told_of_the_variables_that_nothing_declares()
    {
        var warnings = DaemonChecker.Check(DaemonParser.Parse(Cases.Read(Path.Combine("seeds", "seed0.yaml"))), Installation.Here).Where(diagnostic => diagnostic.Code == "DMN102").ToArray();
        Assert.Equal(
            [
                "31:36: warning DMN102: The script reads ${app_name}, and no input, variable, output or env of this stage is called 'app_name'; it is empty then. (declare an input 'app_name', or set it in env)",
                "33:21: warning DMN102: The script reads ${packages}, and no input, variable, output or env of this stage is called 'packages'; it is empty then. (declare an input 'packages', or set it in env)",
            ],
            warnings.Select(warning => warning.ToString()));
    }

    [Theory]
    [InlineData("sort-folder")]
    [InlineData("hello")]
    public void and_the_examples_are_found_good(string example) => Assert.Empty(Found(Cases.Example(example, "daemon.yaml")));
}
