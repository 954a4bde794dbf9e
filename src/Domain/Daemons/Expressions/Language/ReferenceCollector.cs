namespace Platform.Domain.Daemons.Expressions.Language;

/// <summary>Finds the free names of a tree.</summary>
internal static class ReferenceCollector
{
    public static IReadOnlyList<Reference> Collect(Node root)
    {
        var found = new List<Reference>();
        Visit(root, false, found);
        found.Sort((a, b) => a.Offset.CompareTo(b.Offset));
        return found;
    }

    /// <summary>The name and members of a part that is a path written out, such as <c>a.b['c']</c>.</summary>
    public static bool TryPath(Node node, out Name? name, out List<string> path)
    {
        path = [];
        for (; ; )
        {
            switch (node)
            {
                case Name found:
                    name = found;
                    path.Reverse();
                    return true;
                case Member member:
                    path.Add(member.Key);
                    node = member.Target;
                    break;
                case Index { Key: Literal { Value.Kind: Kind.String } key } index:
                    path.Add(key.Value.PlainText);
                    node = index.Target;
                    break;
                default:
                    name = null;
                    return false;
            }
        }
    }

    private static void Visit(Node node, bool guarded, List<Reference> found)
    {
        if (node is Name or Member or Index && TryPath(node, out var name, out var path))
        {
            found.Add(new Reference(name!.Identifier, path, name.Offset, guarded));
            return;
        }

        switch (node)
        {
            case Index index:
                Visit(index.Target, guarded, found);
                Visit(index.Key, false, found);
                break;
            case Member member:
                Visit(member.Target, guarded, found);
                break;
            case Coalesce coalesce:
                Visit(coalesce.Left, true, found);
                Visit(coalesce.Right, guarded, found);
                break;
            case Conditional conditional:
                Visit(conditional.Condition, false, found);
                Visit(conditional.Then, guarded, found);
                Visit(conditional.Else, guarded, found);
                break;
            case Has has:
                Visit(has.Path, true, found);
                break;
            default:
                foreach (var part in node.Parts) { Visit(part, false, found); }

                break;
        }
    }
}
