"""python -m composer"""

from composer.command.cli import main

main()
