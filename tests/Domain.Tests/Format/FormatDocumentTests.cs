using System.Text.RegularExpressions;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public partial class The_reference_of_the_format
{
    // A fragment is a list of stages, in a daemon that has what they name.
    private const string Around = """
        daemon:
          name: Around
          inputs: [{ name: folder, type: file }, { name: count, type: integer, default: 3 }]
          permissions: { network: [example.org], files: { write: ['${ inputs.folder }'] } }
          stages:
            - { tool: files.read, with: { path: '${ inputs.folder }/a.txt' }, output: content }

        """;

    [GeneratedRegex("```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block { get; }

    [GeneratedRegex(@"\bDMN\d{3}\b")]
    private static partial Regex Code { get; }

    public static TheoryData<string> Blocks => [.. Block.Matches(Cases.Document("daemon-format.md")).Select(match => match.Groups[1].Value)];

    [Theory]
    [MemberData(nameof(Blocks))]
    public void shows_only_what_is_found_good(string yaml)
    {
        var whole = yaml.StartsWith("- ", StringComparison.Ordinal) ? Around + string.Join('\n', yaml.Split('\n').Select(line => "    " + line)) : yaml;
        Assert.Empty(DaemonChecker.Check(DaemonParser.Parse(whole), Installation.Here));
    }

    [Fact]
    public void explains_every_code_once()
    {
        var explained = Code.Matches(string.Join('\n', Cases.Document("daemon-format.md").Split('\n').Where(line => line.StartsWith("| DMN", StringComparison.Ordinal)))).Select(match => match.Value).ToArray();
        var rules = Enumerable.Range(1, 4).Concat(Enumerable.Range(10, 9)).Concat([20, 21]).Concat(Enumerable.Range(101, 21)).Select(number => $"DMN{number:000}");
        Assert.Equal(rules, explained);
    }
}
