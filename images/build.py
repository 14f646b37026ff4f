#!/usr/bin/env python3
"""Build the image that machines boot from; prints its name.

images/build.py --target local --service php --service mysql
"""

from conpaas.images.main import main

if __name__ == "__main__":
    main()
